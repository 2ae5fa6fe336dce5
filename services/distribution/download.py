"""Products as byte streams from the object store, whole or in ranges (RFC 9110, section 14)."""

import re
from collections.abc import AsyncIterator
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import obstore
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from obstore.exceptions import BaseError
from sqlalchemy import RowMapping

from refsys.services.common.logs import get_logger, task
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.odata.errors import ODataError

if TYPE_CHECKING:
    from obstore import GetResult

CHUNK_BYTES = 1 << 20

log = get_logger()


async def value(request: Request, row: RowMapping, store: ObjectStore) -> Response:
    """Return the response of `Products(id)/$value` for GET and HEAD.

    Raises:
        ODataError: 416 for a range outside of the product, 503 if the object store does not deliver.
    """
    size: int = row["content_length"]
    headers = _headers(row)
    wanted = _range(request, row, size)
    start, end = wanted or (0, size)
    headers["Content-Length"] = str(end - start)
    status = 200
    if wanted:
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers)
    try:
        result = await obstore.get_async(
            store.bucket(row["bucket"]), row["object_key"], options={"range": (start, end)}
        )
    except (BaseError, OSError) as error:
        log.error("object store does not deliver", filename=row["name"], bucket=row["bucket"], error=str(error))
        raise ODataError(
            503, "Unavailable", f"{row['name']} cannot be read now: try again", {"Retry-After": "30"}
        ) from error
    body = _stream(result, row, end - start, request.state.user)
    return StreamingResponse(body, status_code=status, headers=headers)


async def _stream(result: "GetResult", row: RowMapping, size: int, user: str) -> AsyncIterator[bytes]:
    # The name that the trace interface gives to a user's download.
    with task(
        "PripTempDownloadUrl",
        chain="DISTRIBUTION",
        mission=row["mission"],
        filename_string=row["name"],
        user_string=user,
    ) as running:
        async for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
            running.size_bytes += len(chunk)
            yield bytes(chunk)
        if running.size_bytes != size:
            raise OSError(f"{row['name']}: the object store gave {running.size_bytes} of {size} bytes")


def entity_tag(row: RowMapping) -> str:
    """Return the ETag of a product: its content never changes under one Id."""
    return f'"{row["id"]}"'


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last of a `Range`; None if all is to be sent.

    Several ranges at once are answered by the whole product, as the standard allows.

    Raises:
        ODataError: 416 if the range lies outside.
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", header, re.IGNORECASE)
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
            f"the range is outside of the product's {size} bytes",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end


def _range(request: Request, row: RowMapping, size: int) -> tuple[int, int] | None:
    header = request.headers.get("Range")
    if header is None or not _still_valid(request.headers.get("If-Range"), row):
        return None
    return byte_range(header, size)


def _still_valid(condition: str | None, row: RowMapping) -> bool:
    """Whether `If-Range`, an ETag or a date, speaks of the product as it is."""
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == entity_tag(row)
    try:
        return bool(parsedate_to_datetime(condition) == row["publication_date"].replace(microsecond=0))
    except ValueError:
        return False


def _headers(row: RowMapping) -> dict[str, str]:
    name: str = row["name"]
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    disposition = f'attachment; filename="{plain}"'
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private",
        "Content-Disposition": disposition,
        "Content-Type": row["content_type"],
        "ETag": entity_tag(row),
        "Last-Modified": format_datetime(row["publication_date"].replace(microsecond=0), usegmt=True),
    }
