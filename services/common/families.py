"""Product families and the bucket of each, as the chain's interface documents name them."""

from enum import StrEnum


class Family(StrEnum):
    """Families of products as they come in or are produced; each has a sister `<name>_ZIP` for their archives."""

    EDRS_SESSION = "EDRS_SESSION"
    SESSION_RETRANSFER = "SESSION_RETRANSFER"
    AUXILIARY_FILE = "AUXILIARY_FILE"
    PLAN_AND_REPORT = "PLAN_AND_REPORT"
    L0_SEGMENT = "L0_SEGMENT"
    L0_SLICE = "L0_SLICE"
    L0_ACN = "L0_ACN"
    L0_BLANK = "L0_BLANK"
    L1_SLICE = "L1_SLICE"
    L1_ACN = "L1_ACN"
    L1_ETAD = "L1_ETAD"
    L2_SLICE = "L2_SLICE"
    L2_ACN = "L2_ACN"
    SPP_MBU = "SPP_MBU"
    SPP_OBS = "SPP_OBS"
    S2_AUX = "S2_AUX"
    S2_SAD = "S2_SAD"
    S2_HKTM = "S2_HKTM"
    S2_L0_GR = "S2_L0_GR"
    S2_L0_DS = "S2_L0_DS"
    S2_L1A_DS = "S2_L1A_DS"
    S2_L1A_GR = "S2_L1A_GR"
    S2_L1B_DS = "S2_L1B_DS"
    S2_L1B_GR = "S2_L1B_GR"
    S2_L1C_DS = "S2_L1C_DS"
    S2_L1C_TL = "S2_L1C_TL"
    S2_L1C_TC = "S2_L1C_TC"
    S2_L2A_DS = "S2_L2A_DS"
    S2_L2A_TL = "S2_L2A_TL"
    S2_L2A_TC = "S2_L2A_TC"
    S3_AUX = "S3_AUX"
    S3_GRANULES = "S3_GRANULES"
    S3_L0 = "S3_L0"
    S3_L1_NRT = "S3_L1_NRT"
    S3_L1_STC = "S3_L1_STC"
    S3_L1_NTC = "S3_L1_NTC"
    S3_L2_NRT = "S3_L2_NRT"
    S3_L2_STC = "S3_L2_STC"
    S3_L2_NTC = "S3_L2_NTC"
    S3_CAL = "S3_CAL"
    S3_PUG = "S3_PUG"


# Where the bucket is not `rs-<family>` in lower case with hyphens.
_NAMED = {
    Family.EDRS_SESSION: "rs-session-files",
    Family.SESSION_RETRANSFER: "rs-session-retransfer",
    Family.AUXILIARY_FILE: "rs-s1-aux",
    Family.PLAN_AND_REPORT: "rs-s1-plans-and-reports",
    Family.L0_SEGMENT: "rs-s1-l0-segments",
    Family.L0_SLICE: "rs-s1-l0-slices",
    Family.L0_ACN: "rs-l0-acns",
    Family.L0_BLANK: "rs-s1-l0-blanks",
    Family.L1_SLICE: "rs-s1-l1-slices",
    Family.L1_ACN: "rs-s1-l1-acns",
    Family.L1_ETAD: "rs-s1-l1-etad",
    Family.L2_SLICE: "rs-s1-l2-slices",
    Family.L2_ACN: "rs-s1-l2-acns",
    Family.SPP_MBU: "rs-s1-spp-mbu",
    Family.SPP_OBS: "rs-s1-spp-obs",
}
_PLAIN = {family: _NAMED.get(family, "rs-" + family.lower().replace("_", "-")) for family in Family}
ZIP = "_ZIP"

BUCKETS: dict[str, str] = {
    **{str(family): bucket for family, bucket in _PLAIN.items()},
    **{family + ZIP: f"{bucket}-zip" for family, bucket in _PLAIN.items()},
}

UPLOADS_BUCKET = "rs-uploads"
"""Hands accepted uploads over to the ingestion, as `<upload id>/<name>`; no products lie there."""

BACKUPS_BUCKET = "rs-backups"
"""Copies of what the platform keeps, as `<program>/<time>`; no products lie there."""

JOBS_BUCKET = "rs-jobs"
"""How production jobs ended, as `<job>/<attempt>.json`; no products lie there."""

FAILED_WORKDIR_BUCKET = "rs-failed-workdir"
"""Work folders of jobs that failed, as `<chain>/<job>-<attempt>.tar`; no products lie there."""

QUICKLOOKS = "rs-quicklooks"
"""The bucket of preview images: `<product name>/<image>`."""

SESSION_FAMILIES = (Family.EDRS_SESSION, Family.SESSION_RETRANSFER)


def storage_path(family: str, key: str) -> str:
    """Where a product lies: `s3://bucket/key`."""
    return storage_path_in(BUCKETS[family], key)


def storage_path_in(bucket: str, key: str) -> str:
    """Where an object of a bucket lies: `s3://bucket/key`."""
    return f"s3://{bucket}/{key}"


def split_storage_path(path: str) -> tuple[str, str]:
    """Bucket and key of a storage path; ValueError if it is none."""
    bucket, _, key = path.removeprefix("s3://").partition("/")
    if not path.startswith("s3://") or not bucket or not key:
        raise ValueError(f"storagePath {path!r} is not of the form s3://bucket/key")
    return bucket, key


def place_of(path: str) -> tuple[str, str]:
    """Bucket and key of a product; the key of a folder (`s3://bucket/key/`) has no slash at its end."""
    bucket, key = split_storage_path(path)
    return bucket, key.rstrip("/")
