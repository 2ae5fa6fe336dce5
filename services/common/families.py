"""Product families and the bucket of each, as the chain's interface documents name them."""

from enum import StrEnum


class Family(StrEnum):
    """Families of the files that come from stations."""

    AUXILIARY_FILE = "AUXILIARY_FILE"
    PLAN_AND_REPORT = "PLAN_AND_REPORT"
    S2_AUX = "S2_AUX"
    S3_AUX = "S3_AUX"


BUCKETS = {
    Family.AUXILIARY_FILE: "rs-s1-aux",
    Family.PLAN_AND_REPORT: "rs-s1-plans-and-reports",
    Family.S2_AUX: "rs-s2-aux",
    Family.S3_AUX: "rs-s3-aux",
}


def storage_path(family: Family, key: str) -> str:
    """Where a product lies: `s3://bucket/key`."""
    return f"s3://{BUCKETS[family]}/{key}"


def split_storage_path(path: str) -> tuple[str, str]:
    """Bucket and key of a storage path; ValueError if it is none."""
    bucket, _, key = path.removeprefix("s3://").partition("/")
    if not path.startswith("s3://") or not bucket or not key:
        raise ValueError(f"storagePath {path!r} is not of the form s3://bucket/key")
    return bucket, key
