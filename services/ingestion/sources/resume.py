"""Reading a file over connections that may break, in chunks of bounded size."""

import time
from collections.abc import Callable, Iterator

from refsys.services.common.logs import get_logger
from refsys.services.ingestion.errors import ContentError, StationBusyError

CHUNK_BYTES = 2**21
RETRIES = 5  # without any progress in between
WAIT_SECONDS = 3.0

log = get_logger()


def resumed(opened: Callable[[int], Iterator[bytes]], size: int | None, station: str) -> Iterator[bytes]:
    """The bytes of `opened(0)`; when it breaks with `StationBusyError`, it goes on with `opened(position)`.

    `size` is what was announced, if it was; an end before it or bytes beyond it are a `ContentError`.
    """
    position, retries = 0, 0
    pending = bytearray()  # what came before a break counts as well
    while True:
        start = position
        try:
            for chunk in opened(position):
                position += len(chunk)
                if size is not None and position > size:
                    raise ContentError(f"station {station} delivers more than the announced {size} bytes")
                if not pending and len(chunk) == CHUNK_BYTES:
                    yield chunk
                    continue
                pending += chunk
                while len(pending) >= CHUNK_BYTES:
                    yield bytes(pending[:CHUNK_BYTES])
                    del pending[:CHUNK_BYTES]
            break
        except StationBusyError as error:
            retries = 1 if position > start else retries + 1
            if retries > RETRIES:
                raise
            log.warning("download broken, resuming", station=station, position=position, reason=str(error))
            time.sleep(WAIT_SECONDS)
    if size is not None and position < size:
        raise ContentError(f"station {station} delivers {position} bytes, announced {size}")
    if pending:
        yield bytes(pending)


def after(skip: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks without the first `skip` bytes: for stations that can only send a file from its beginning."""
    for chunk in chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        yield chunk[skip:] if skip else chunk
        skip = 0
