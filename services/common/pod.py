"""Where a process runs."""

import os
import socket


def pod_name() -> str:
    """The name of the pod (its host name)."""
    return os.environ.get("HOSTNAME") or socket.gethostname()
