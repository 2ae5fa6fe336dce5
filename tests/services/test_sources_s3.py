"""The S3 client against a real S3 end point."""

import hashlib
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from tests.means.object_store import S3

from refsys.services.common.families import Family
from refsys.services.common.settings import S3Settings
from refsys.services.common.store import PART_BYTES, ObjectStore
from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.resume import CHUNK_BYTES
from refsys.services.ingestion.sources.s3 import S3Source
from refsys.services.ingestion.stations import Inbox, S3Station

BUCKET = "rs-s1-aux"
INBOXES = [Inbox(match=r".*", family=Family.AUXILIARY_FILE, mission="S1")]

Open = Callable[..., S3Source]


@pytest.fixture
def bucket(store: ObjectStore) -> S3Store:
    return store.bucket(BUCKET)


@pytest.fixture
def source(s3: S3Settings) -> Open:
    def make(**changes: object) -> S3Source:
        values = {
            "name": "bucket",
            "url": s3.endpoint,
            "bucket": BUCKET,
            "inboxes": INBOXES,
            "ca_file": s3.ca_file,
            "access_key_file": s3.access_key_file,
            "secret_key_file": s3.secret_key_file,
        }
        return S3Source(S3Station.model_validate(values | changes))

    return make


def by_path(source: S3Source) -> dict[str, ListedFile]:
    return {file.path: file for page in source.listed(None) for file in page}


def test_a_prefix_is_listed_and_read(source: Open, store: ObjectStore, bucket: S3Store) -> None:
    small, large = os.urandom(1_300_000), os.urandom(2 * PART_BYTES + 77)
    obstore.put(bucket, "in/a/small ä", small, use_multipart=False)
    store.put(BUCKET, "in/large", iter([large]), len(large))  # in parts
    obstore.put(bucket, "in/empty", b"", use_multipart=False)
    obstore.put(bucket, "other/x", b"x", use_multipart=False)
    client = source(prefix="in/")
    listed = by_path(client)
    assert set(listed) == {"a/small ä", "large", "empty"}
    assert [item.value for item in listed["a/small ä"].checksums] == [hashlib.md5(small).hexdigest()]  # noqa: S324
    assert listed["large"].checksums == []
    for path, data in {"a/small ä": small, "large": large, "empty": b""}.items():
        assert listed[path].size == len(data)
        chunks = list(client.content(listed[path]))
        assert b"".join(chunks) == data
        assert all(len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert set(by_path(source())) == {"in/a/small ä", "in/large", "in/empty", "other/x"}


def test_only_objects_since_are_listed(source: Open, bucket: S3Store) -> None:
    obstore.put(bucket, "x", b"x", use_multipart=False)
    client = source()
    date = by_path(client)["x"].publication_date
    assert [file.id for page in client.listed(date) for file in page] == ["x"]
    assert list(client.listed(date + timedelta(seconds=1))) == []


def test_pages_are_bounded(source: Open, s3_server: S3) -> None:
    folder = s3_server.folder / BUCKET
    for number in range(1203):
        (folder / f"{number:05d}").write_bytes(b"x")
    pages = list(source().listed(None))
    assert sum(map(len, pages)) == 1203
    assert max(map(len, pages)) <= 1000


def test_an_object_that_is_replaced(source: Open, bucket: S3Store) -> None:
    obstore.put(bucket, "x", b"12345", use_multipart=False)
    client = source()
    listed = by_path(client)["x"]
    obstore.put(bucket, "x", b"1234567", use_multipart=False)
    with pytest.raises(ContentError, match="more than the announced 5"):
        list(client.content(listed))
    obstore.delete(bucket, "x")
    with pytest.raises(StationError, match="no such object"):
        list(client.content(listed))


def test_threads_share_a_source(source: Open, bucket: S3Store) -> None:
    data = {f"{number}": os.urandom(2_000_000) for number in range(4)}
    for key, value in data.items():
        obstore.put(bucket, key, value, use_multipart=False)
    client, read = source(), {}
    listed = by_path(client)

    def fetch(key: str) -> None:
        read[key] = b"".join(client.content(listed[key]))

    threads = [threading.Thread(target=fetch, args=(key,)) for key in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == data


def test_what_fails_is_explained(source: Open, tmp_path: Path) -> None:
    with pytest.raises(StationError, match="no such object or bucket"):
        by_path(source(bucket="no-such-bucket"))
    (tmp_path / "wrong").write_text("wrong")
    with pytest.raises(StationError):
        by_path(source(secret_key_file=tmp_path / "wrong"))
    with pytest.raises(StationBusyError):
        by_path(source(url="https://127.0.0.1:9", timeout_seconds=1))
