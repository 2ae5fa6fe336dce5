"""The one entry of the image: `python -m refsys.services <process>`."""

import sys
from importlib import import_module

from refsys.services.common.settings import SettingsError

PROCESSES = {
    "migrate": "refsys.services.migrations.upgrade",
    "topics": "refsys.services.common.topics",
    "buckets": "refsys.services.common.buckets",
    "ingestion-trigger": "refsys.services.ingestion.trigger",
    "ingestion-worker": "refsys.services.ingestion.worker",
    "catalogue": "refsys.services.catalogue.service",
    "publisher": "refsys.services.distribution.publisher",
    "prip": "refsys.services.distribution.prip",
}


def main(arguments: list[str]) -> int:
    """Run the process named by the only argument; 2 means wrong use or a wrong setting."""
    if len(arguments) != 1 or arguments[0] not in PROCESSES:
        sys.stderr.write(f"usage: python -m refsys.services {{{'|'.join(PROCESSES)}}}\n")
        return 2
    name = arguments[0]
    try:
        import_module(PROCESSES[name]).main()
    except SettingsError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
