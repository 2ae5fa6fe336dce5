"""Products as byte streams from the object store, whole or in ranges (RFC 9110, section 14)."""

import re
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import anyio
import obstore
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from obstore.exceptions import BaseError
from sqlalchemy import RowMapping
from starlette.types import Receive, Scope, Send

from refsys.services.common import tracing
from refsys.services.common.families import BUCKETS, Family
from refsys.services.common.logs import Task, get_logger, task
from refsys.services.common.messages import product_trace
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.quotas import RENEW_SECONDS, Lease, Quotas

if TYPE_CHECKING:
    from obstore import GetResult

CHUNK_BYTES = 1 << 20
SIGNED_SECONDS = 600

log = get_logger()


@dataclass(frozen=True)
class Content:
    """One file of a product in the object store; `tag` changes with its bytes, `size` is in bytes."""

    name: str
    bucket: str
    key: str
    size: int
    media_type: str
    tag: str
    modified: datetime
    mission: str
    task: str
    trace: str | None = None
    """Of a product, the id of its trace."""

    @classmethod
    def of_product(cls, row: RowMapping) -> Self:
        """Return the product itself; its content never changes under one Id."""
        place = row["name"], row["bucket"], row["object_key"], row["content_length"], row["content_type"]
        kind = row["mission"], "PripTempDownloadUrl"
        # A session's file has no timeline; it is known by its key.
        retransferred = row["bucket"] == BUCKETS[Family.SESSION_RETRANSFER]
        trace = row.get("trace", {}).get("traceId") or product_trace(row["object_key"], retransferred=retransferred)
        return cls(*place, str(row["id"]), row["publication_date"], *kind, trace)

    def step(self, user: str, size: int) -> tracing.Step:
        """Begin the step of giving `size` bytes of it to a user."""
        if self.trace is None:
            return tracing.running()
        step = tracing.first("download by user", self.trace, product=self.name, user=user, bytes=size)
        tracing.carry(step)  # until the request's task ends
        return step

    @classmethod
    def of_quicklook(cls, row: RowMapping, image: str) -> Self:
        """Return a quicklook of a product; 404 if it has none of this name."""
        for each in row["quicklooks"]:
            if each["image"] == image:
                place = image, each["bucket"], each["key"], each["size"], each["contentType"]
                tag = f"{row['id']}-{zlib.crc32(image.encode()):08x}"
                return cls(*place, tag, row["publication_date"], row["mission"], "PripTempQuicklookUrl")
        shown = image[:60].encode("ascii", "replace").decode()
        raise ODataError(404, "NotFound", f"product {row['id']} has no quicklook {shown}", target="Quicklooks")


@dataclass(frozen=True)
class Downloads:
    """Delivers files from the object store; with `public`, the store's address for users, by redirection."""

    store: ObjectStore
    quotas: Quotas
    public: ObjectStore | None = None

    async def answer(self, request: Request, content: Content) -> Response:
        """Return the response of a `$value` for GET and HEAD.

        Raises:
            ODataError: 416 for a range outside of the file, 429 if a quota is used up, 503 if the object store does
                not deliver.
        """
        user: str = request.state.user
        headers = _headers(content)
        wanted = _range(request, content)
        start, end = wanted or (0, content.size)
        headers["Content-Length"] = str(end - start)
        status = 200
        if wanted:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
        if request.method == "HEAD" or start == end:
            return Response(status_code=status, headers=headers)
        if self.public is not None:
            await run_in_threadpool(self.quotas.charge, user, end - start)
            return await self._redirect(self.public, content, user)
        lease = await run_in_threadpool(self.quotas.open_download, user, end - start)
        delivery = Delivery(content, end - start, self.quotas, lease, content.step(user, end - start))
        try:
            result = await obstore.get_async(
                self.store.bucket(content.bucket), content.key, options={"range": (start, end)}
            )
        except BaseException as error:
            await delivery.close()
            if isinstance(error, BaseError | OSError):
                raise _unavailable(content, error) from error
            raise
        return DeliveryResponse(delivery, result, status, headers)

    async def _redirect(self, public: ObjectStore, content: Content, user: str) -> Response:
        step = content.step(user, content.size)
        with _traced(content, user):
            address = await obstore.sign_async(
                public.bucket(content.bucket), "GET", content.key, timedelta(seconds=SIGNED_SECONDS)
            )
        step.end()
        return Response(status_code=307, headers={"Location": address, "Cache-Control": "no-store"})


class Delivery:
    """The bytes of one running download, counted as they go."""

    def __init__(self, content: Content, size: int, quotas: Quotas, lease: Lease, step: tracing.Step) -> None:
        """`size` bytes are to be delivered; `step` ends with it."""
        self._step = step
        self._given = 0
        self.content = content
        self._size = size
        self._quotas = quotas
        self._lease = lease
        self._uncounted = 0
        self._closed = False
        self._renewed = time.monotonic()

    async def chunks(self, result: "GetResult") -> AsyncIterator[bytes]:
        """Yield the bytes; raises `OSError` if there are not as many as announced.

        The last ones leave when the lease is given back: who has them all may ask for the next product at once.
        """
        with _traced(self.content, self._lease.user) as running:
            held = b""
            async for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                if held:
                    yield held
                    await self._count(len(held))
                held = bytes(chunk)
                running.size_bytes += len(held)
                self._given = running.size_bytes
            if running.size_bytes != self._size:
                raise OSError(f"{self.content.name}: the object store gave {running.size_bytes} of {self._size} bytes")
            self._uncounted += len(held)
            await self.close()
            yield held

    async def close(self) -> None:
        """Give the lease back, even while the request is being cancelled; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._given != self._size:
            self._step.failed(f"only {self._given} of {self._size} bytes were read")
        self._step.end()
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(self._quotas.close, self._lease, self._uncounted)

    async def _count(self, size: int) -> None:
        self._uncounted += size
        if time.monotonic() - self._renewed < RENEW_SECONDS:
            return
        try:
            await run_in_threadpool(self._quotas.renew, self._lease, self._uncounted)
            self._uncounted = 0
        except ODataError as error:  # the download goes on, its bytes are counted the next time
            log.error("cannot renew a download", filename=self.content.name, error=error.message)
        self._renewed = time.monotonic()


class DeliveryResponse(StreamingResponse):
    """Streams a delivery and closes it whatever happens to the connection."""

    def __init__(self, delivery: Delivery, result: "GetResult", status: int, headers: dict[str, str]) -> None:
        """Stream what `result` gives."""
        super().__init__(delivery.chunks(result), status_code=status, headers=headers)
        self._delivery = delivery

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._delivery.close()


def _traced(content: Content, user: str) -> AbstractContextManager[Task]:
    return task(content.task, chain="DISTRIBUTION", mission=content.mission, filename=content.name, user=user)


def _unavailable(content: Content, error: BaseException) -> ODataError:
    log.error("object store does not deliver", filename=content.name, bucket=content.bucket, error=str(error))
    message = f"{content.name} cannot be read now: try again"
    return ODataError(503, "Unavailable", message, {"Retry-After": "30"})


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last of a `Range`; None if all is to be sent.

    Several ranges at once are answered by the whole product, as the standard allows.

    Raises:
        ODataError: 416 if the range lies outside.
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", header, re.IGNORECASE)
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise ODataError(
            416,
            "RangeNotSatisfiable",
            f"the range is outside of the file's {size} bytes",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end


def _range(request: Request, content: Content) -> tuple[int, int] | None:
    header = request.headers.get("Range")
    if header is None or not _still_valid(request.headers.get("If-Range"), content):
        return None
    return byte_range(header, content.size)


def _still_valid(condition: str | None, content: Content) -> bool:
    """Whether `If-Range`, an ETag or a date, speaks of the file as it is."""
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == f'"{content.tag}"'
    try:
        return bool(parsedate_to_datetime(condition) == content.modified.replace(microsecond=0))
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return False


def _headers(content: Content) -> dict[str, str]:
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", content.name)
    disposition = f'attachment; filename="{plain}"'
    if plain != content.name:
        disposition += f"; filename*=UTF-8''{quote(content.name, safe='')}"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private",
        "Content-Disposition": disposition,
        "Content-Type": content.media_type,
        "ETag": f'"{content.tag}"',
        "Last-Modified": format_datetime(content.modified.astimezone(UTC).replace(microsecond=0), usegmt=True),
    }
