"""Products in the object store: single objects, folders of objects, and pairs of header and data block."""

from collections.abc import Iterator

from refsys.services.common.families import split_storage_path
from refsys.services.common.store import ObjectStore
from refsys.services.compression.archives import Member, SourceError

FILES_LIMIT = 20_000


class PartnerMissingError(Exception):
    """The other file of a pair is not there yet."""


def members(store: ObjectStore, path: str, size: int) -> list[Member]:
    """The files of the product at a storage path, in the order of the archive, `size` bytes in all.

    Raises:
        PartnerMissingError: a header's data block is not there yet.
        SourceError: the product is not there, or has another size.
    """
    bucket, key = split_storage_path(path)
    key = key.rstrip("/")
    found = store.head(bucket, key)
    listed = _folder(store, bucket, key) if found is None else [(key, found.size)]
    there = sum(each[1] for each in listed)
    if not listed or there != size:
        raise SourceError(f"{path}: {there} bytes in {len(listed)} objects are there, {size} bytes are catalogued")
    if found is not None and key.upper().endswith(".HDR"):
        listed.append(_data_block(store, bucket, key))
    return [_member(store, bucket, *each) for each in listed]


def _member(store: ObjectStore, bucket: str, key: str, size: int) -> Member:
    def read() -> Iterator[bytes]:
        return store.read(bucket, key)

    return Member(key, size, read)


def _folder(store: ObjectStore, bucket: str, key: str) -> list[tuple[str, int]]:
    listed: list[tuple[str, int]] = []
    for each in store.list_folder(bucket, key):
        listed.append((each.key, each.size))
        if len(listed) > FILES_LIMIT:
            raise SourceError(f"s3://{bucket}/{key}/ has more than {FILES_LIMIT} objects")
    return sorted(listed)


def _data_block(store: ObjectStore, bucket: str, header: str) -> tuple[str, int]:
    stem, extension = header[:-4], header[-4:]
    key = stem + (".DBL" if extension.isupper() else ".dbl")
    found = store.head(bucket, key)
    if found is None:
        raise PartnerMissingError(f"s3://{bucket}/{key} is not there yet, which belongs to {header}")
    return key, found.size
