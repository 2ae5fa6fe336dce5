"""The `buckets` process: makes the bucket of every product family, and those of what are no products.

And that of metrics, where they are kept for years, and those of hosted applications.
"""

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from refsys.services.common import logs
from refsys.services.common.application_buckets import remove_others
from refsys.services.common.bucket_policy import let_in
from refsys.services.common.families import (
    BACKUPS_BUCKET,
    BUCKETS,
    FAILED_WORKDIR_BUCKET,
    JOBS_BUCKET,
    QUICKLOOKS,
    UPLOADS_BUCKET,
)
from refsys.services.common.settings import ApplicationsSettings, MetricsBucketSettings, S3Settings, load
from refsys.services.common.store import ObjectStore, StoreUnavailableError


def main() -> None:
    """Make the buckets; those that are there already stay as they are."""
    logs.configure("buckets")
    log = logs.get_logger()
    settings, metrics = load(S3Settings), load(MetricsBucketSettings)
    store = ObjectStore(settings)
    others = (QUICKLOOKS, UPLOADS_BUCKET, BACKUPS_BUCKET, JOBS_BUCKET, FAILED_WORKDIR_BUCKET)
    for name in (*BUCKETS.values(), *others):
        log.info("bucket made" if _make(store, name) else "bucket is there", bucket=name)
    if metrics.bucket and metrics.account:
        log.info("bucket made" if _make(store, metrics.bucket) else "bucket is there", bucket=metrics.bucket)
        let_in(settings, metrics.bucket, metrics.account)
    own = load(ApplicationsSettings).buckets
    for name in own:
        log.info("bucket made" if _make(store, name) else "bucket is there", bucket=name)
        let_in(settings, name, name)
    for name in remove_others(settings, store, own):
        log.info("bucket removed with its application", bucket=name)


@retry(
    retry=retry_if_exception_type((httpx.TransportError, StoreUnavailableError)),
    stop=stop_after_delay(180),
    wait=wait_fixed(3),
    reraise=True,
)
def _make(store: ObjectStore, name: str) -> bool:
    return store.make_bucket(name)
