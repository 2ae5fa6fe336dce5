"""The HTTPS side of a process with an API."""

from pathlib import Path

import uvicorn
from fastapi import FastAPI

CONNECTIONS = 10  # to the database, of a process with an API
REQUEST_LINE_BYTES = 128 * 1024
STOP_SECONDS = 25


def server(app: FastAPI, certificate: Path, key: Path, port: int) -> uvicorn.Server:
    """Return the HTTPS server of the application, to be run."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host="0.0.0.0",  # noqa: S104 - the pod's network policies say who reaches it
            port=port,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            h11_max_incomplete_event_size=REQUEST_LINE_BYTES,
            timeout_graceful_shutdown=STOP_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
        )
    )
