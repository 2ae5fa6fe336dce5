"""Removes what jobs left in the object store, after a while."""

import threading
from datetime import timedelta

from refsys.services.common import logs
from refsys.services.common.families import FAILED_WORKDIR_BUCKET, JOBS_BUCKET
from refsys.services.common.messages import utc_now
from refsys.services.common.store import ObjectStore

KEPT = {FAILED_WORKDIR_BUCKET: timedelta(days=7), JOBS_BUCKET: timedelta(days=30)}
PERIOD_SECONDS = 3600.0

log = logs.get_logger()


def remove_old(store: ObjectStore) -> int:
    """Remove what is too old; returns how many objects."""
    gone = 0
    for bucket, kept in KEPT.items():
        end = utc_now() - kept
        for each in store.list(bucket):
            if each.modified < end:
                store.delete(bucket, each.key)
                gone += 1
    return gone


def keep_clean(store: ObjectStore, stop: threading.Event) -> None:
    """Do it every hour, in a thread of its own."""

    def run() -> None:
        while not stop.wait(PERIOD_SECONDS):
            try:
                if gone := remove_old(store):
                    log.info("results and work folders of old jobs are removed", objects=gone)
            except Exception as error:  # tried again in an hour
                log.warning("old jobs are not removed", error=f"{type(error).__name__}: {error}")

    threading.Thread(target=run, name="housekeeping", daemon=True).start()
