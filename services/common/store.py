"""The object store over S3, with bytes streamed both ways.

A put is atomic: when the stream of chunks raises, the upload is aborted and no object appears. Memory is
bounded by the parts in flight, whatever the size of the file.
"""

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from refsys.services.common.settings import S3Settings, secret
from refsys.services.common.tls import trust

if TYPE_CHECKING:
    from obstore import ReadableFile
    from typing_extensions import Buffer

MIB = 2**20
PART_BYTES = 8 * MIB
PARTS_IN_FLIGHT = 2
PARTS_LIMIT = 10_000  # of S3
READ_BUFFER_BYTES = 256 * 1024
WHOLE_BYTES = 512 * 1024  # an object up to this size is read in one request
LISTED_AT_ONCE = 1000
STREAM_BYTES = MIB


class StoreUnavailableError(Exception):
    """The object store did not do what it was asked; trying again later may help."""


@dataclass(frozen=True)
class StoredObject:
    """What the store knows of an object; `size` in bytes, `modified` by the store's clock."""

    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class ListedObject:
    """An object in the listing of its bucket."""

    key: str
    size: int
    modified: datetime


class ObjectStore:
    """One S3 end point; buckets are opened as they are used. Safe for use by several threads."""

    def __init__(self, settings: S3Settings) -> None:
        """Nothing is requested before the first use."""
        self._settings = settings
        self._buckets: dict[str, S3Store] = {}
        self._lock = threading.Lock()

    def bucket(self, name: str) -> S3Store:
        """The `obstore` store of a bucket, for what this class does not wrap (asynchronous reads)."""
        with self._lock:
            if name not in self._buckets:
                self._buckets[name] = self._open(name)
            return self._buckets[name]

    def _open(self, name: str) -> S3Store:
        settings = self._settings
        client: dict[str, Any] = {
            "allow_http": settings.endpoint.scheme == "http",
            "connect_timeout": timedelta(seconds=10),
            "read_timeout": timedelta(seconds=60),
            "timeout": timedelta(hours=24),  # of a whole body, which may be large; stalls end by read_timeout
        }
        if settings.ca_file:
            client["root_certificate"] = settings.ca_file.read_bytes()
        return S3Store(
            name,
            endpoint=str(settings.endpoint).rstrip("/"),
            region=settings.region,
            access_key_id=secret(settings.access_key_file),
            secret_access_key=secret(settings.secret_key_file),
            # Over TLS nobody can change the payload, so that hashing it a second time buys nothing.
            unsigned_payload=settings.endpoint.scheme == "https",
            client_options=client,  # type: ignore[arg-type]  # a TypedDict, built step by step
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
        )

    def put(self, bucket: str, key: str, chunks: Iterable[bytes], size: int | None) -> None:
        """Store the chunks as one object; `size` is the expected number of bytes, used to choose the parts.

        Without `size` (None) at most 156 GiB can be stored.

        An exception raised by `chunks` aborts the upload and is passed on; nothing is stored then.
        """
        part = max(PART_BYTES, -(-size // (PARTS_LIMIT - 1))) if size is not None else 2 * PART_BYTES
        small = size is not None and size <= PART_BYTES
        stream: Iterable[bytes] | bytes = chunks
        if small:
            stream = b"".join(chunks)
        with self._errors("put", bucket, key):
            obstore.put(
                self.bucket(bucket),
                key,
                stream,
                chunk_size=part,
                max_concurrency=PARTS_IN_FLIGHT,
                use_multipart=not small,
            )

    def head(self, bucket: str, key: str) -> StoredObject | None:
        """Size and ETag of an object, None if there is none."""
        with self._errors("head", bucket, key):
            try:
                found = obstore.head(self.bucket(bucket), key)
            except FileNotFoundError:
                return None
        return StoredObject(size=found["size"], etag=found["e_tag"] or "", modified=found["last_modified"])

    def list(self, bucket: str) -> Iterator[ListedObject]:
        """All objects of a bucket in the byte order of their keys, page by page.

        Raises:
            StoreUnavailableError: the store does not answer, or does not keep that order.
        """
        last = ""
        with self._errors("list", bucket, ""):
            for page in obstore.list(self.bucket(bucket), chunk_size=LISTED_AT_ONCE):
                for found in page:
                    if found["path"] < last:
                        raise StoreUnavailableError(
                            f"object store {self._settings.endpoint}: the listing of bucket {bucket} is not in the "
                            f"byte order of its keys ({found['path']!r} after {last!r}), as S3 has it"
                        )
                    last = found["path"]
                    yield ListedObject(found["path"], found["size"], found["last_modified"])

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; none there is fine."""
        with self._errors("delete", bucket, key):
            try:
                obstore.delete(self.bucket(bucket), key)
            except FileNotFoundError:
                return

    def open(self, bucket: str, key: str, buffer_bytes: int = READ_BUFFER_BYTES) -> BinaryIO:
        """A seekable binary file over ranged gets; raises FileNotFoundError if there is no such object.

        Small objects are read at once: archives are looked at in many places.
        """
        with self._errors("open", bucket, key):
            if (whole := self._whole(bucket, key)) is not None:
                return io.BytesIO(whole)
            reader = obstore.open_reader(self.bucket(bucket), key, buffer_size=buffer_bytes)
        return io.BufferedReader(_ReadableObject(reader, self, f"{bucket}/{key}"), buffer_bytes)

    def _whole(self, bucket: str, key: str) -> bytes | None:
        """The bytes of a small object; None of a larger one."""
        try:
            found = obstore.get(self.bucket(bucket), key, options={"range": (0, WHOLE_BYTES)})
        except FileNotFoundError:
            raise
        except BaseError:  # an empty object has no range
            return None
        return bytes(found.bytes()) if found.meta["size"] <= WHOLE_BYTES else None

    def read(self, bucket: str, key: str) -> Iterator[bytes]:
        """The bytes of an object in order, in one request; raises FileNotFoundError if there is none."""
        with self._errors("get", bucket, key):
            for chunk in obstore.get(self.bucket(bucket), key).stream(min_chunk_size=STREAM_BYTES):
                yield bytes(chunk)

    def list_folder(self, bucket: str, folder: str) -> Iterator[ListedObject]:
        """All objects under `folder/`, in no order that can be relied on."""
        with self._errors("list", bucket, folder):
            for page in obstore.list(self.bucket(bucket), folder):
                yield from (ListedObject(each["path"], each["size"], each["last_modified"]) for each in page)

    def delete_folder(self, bucket: str, folder: str) -> None:
        """Remove all objects under `folder/`; none there is fine."""
        for each in list(self.list_folder(bucket, folder)):
            self.delete(bucket, each.key)

    def make_bucket(self, name: str) -> bool:
        """Make a bucket; False if it was there already."""
        settings = self._settings
        store = self.bucket(name)
        with httpx.Client(verify=trust(settings.ca_file), timeout=30, trust_env=False) as client:
            if client.head(obstore.sign(store, "HEAD", "", timedelta(minutes=1))).status_code == 200:
                return False
            answer = client.put(obstore.sign(store, "PUT", "", timedelta(minutes=1)))
        if answer.status_code == 409:
            return False
        if answer.is_error:
            raise StoreUnavailableError(
                f"object store {settings.endpoint}: cannot make bucket {name}: "
                f"HTTP {answer.status_code} {answer.text[:300]}"
            )
        return True

    @contextmanager
    def _errors(self, action: str, bucket: str, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if action != "put":
                raise
            raise StoreUnavailableError(self._reason(action, f"{bucket}/{key}", error)) from error
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(self._reason(action, f"{bucket}/{key}", error)) from error

    def _reason(self, action: str, what: str, error: Exception) -> str:
        cause = str(error).split("\n\nDebug source:")[0]
        return f"object store {self._settings.endpoint}: {action} {what} failed: {cause}"


class _ReadableObject(io.RawIOBase):
    """`obstore`'s reader as a standard raw file, so that zipfile, tarfile and lxml can read objects."""

    def __init__(self, reader: "ReadableFile", store: ObjectStore, name: str) -> None:
        self._reader = reader
        self._store = store
        self.name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        bucket, _, key = self.name.partition("/")
        view = memoryview(buffer)
        with self._store._errors("read", bucket, key):
            data = self._reader.read(len(view))
        view[: len(data)] = memoryview(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()
