"""Removes what killed processes leave in the object store: the parts of uploads that nobody completes."""

import threading

from refsys.services.common import logs
from refsys.services.common.families import BUCKETS
from refsys.services.common.rclone import Rclone, RcloneError, object_store_remote
from refsys.services.common.settings import S3Settings

MAX_AGE = "24h"  # longer than any upload takes
PAUSE_SECONDS = 3600.0
COMMAND_SECONDS = 300.0
_REMOTE = "store"

log = logs.get_logger()


def reap(settings: S3Settings, stop: threading.Event, max_age: str = MAX_AGE) -> None:
    """Abort the uploads of every bucket that are older than `max_age` (rclone's notation)."""
    rclone = Rclone([object_store_remote(settings, _REMOTE)], settings.ca_file, stop)
    for bucket in dict.fromkeys(BUCKETS.values()):
        if stop.is_set():
            return
        try:
            rclone.run("backend", "cleanup", f"{_REMOTE}:{bucket}", "-o", f"max-age={max_age}", seconds=COMMAND_SECONDS)
        except RcloneError as error:
            log.warning("unfinished uploads are not removed", bucket=bucket, error=str(error))


def keep_clean(settings: S3Settings, stop: threading.Event) -> None:
    """Reap now and then, in a thread, until `stop` is set."""

    def run() -> None:
        while not stop.is_set():
            reap(settings, stop)
            stop.wait(PAUSE_SECONDS)

    threading.Thread(target=run, name="reaper", daemon=True).start()
