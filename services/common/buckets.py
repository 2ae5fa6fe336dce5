"""The `buckets` process: makes the bucket of every product family, those of preview images, uploads and backups."""

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from refsys.services.common import logs
from refsys.services.common.families import BACKUPS_BUCKET, BUCKETS, QUICKLOOKS, UPLOADS_BUCKET
from refsys.services.common.settings import S3Settings, load
from refsys.services.common.store import ObjectStore, StoreUnavailableError


def main() -> None:
    """Make the buckets; those that are there already stay as they are."""
    logs.configure("buckets")
    log = logs.get_logger()
    store = ObjectStore(load(S3Settings))
    for name in (*BUCKETS.values(), QUICKLOOKS, UPLOADS_BUCKET, BACKUPS_BUCKET):
        log.info("bucket made" if _make(store, name) else "bucket is there", bucket=name)


@retry(
    retry=retry_if_exception_type((httpx.TransportError, StoreUnavailableError)),
    stop=stop_after_delay(180),
    wait=wait_fixed(3),
    reraise=True,
)
def _make(store: ObjectStore, name: str) -> bool:
    return store.make_bucket(name)
