"""Archives written as a stream: the same members give the same bytes, whatever their size memory stays flat."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refsys.services.compression.rules import Format

if TYPE_CHECKING:
    from typing_extensions import Buffer

ZIP64_BYTES = 2**31 - 2**27  # from here on a zip member needs 64-bit sizes, whatever deflate adds
GZIP_WINDOW = 31  # zlib's notation of a gzip header, which then carries no time


class SourceError(Exception):
    """A product is not what was announced."""


@dataclass(frozen=True)
class Member:
    """A file for an archive: its path in it, its size in bytes, and how its bytes are read."""

    path: str
    size: int
    read: Callable[[], Iterable[bytes]]

    def chunks(self) -> Iterator[bytes]:
        """The bytes; raises `SourceError` if they are not as many as announced."""
        seen = 0
        for chunk in self.read():
            seen += len(chunk)
            if seen > self.size:
                break
            yield chunk
        if seen != self.size:
            raise SourceError(f"{self.path} was listed with {self.size} bytes, but others came: {seen}")


def pack(form: Format, members: Sequence[Member]) -> Iterator[bytes]:
    """The archive of the members, in their order; times, owners and modes are always the same."""
    match form:
        case Format.ZIP_DEFLATE:
            return _zip(members, zipfile.ZIP_DEFLATED)
        case Format.ZIP_STORE:
            return _zip(members, zipfile.ZIP_STORED)
        case Format.TAR:
            return _tar(members)
        case Format.TGZ:
            return _gzip(_tar(members))


def size_limit(members: Sequence[Member]) -> int:
    """A size in bytes that the archive of the members does not exceed."""
    return sum(member.size + member.size // 1000 + 4096 for member in members) + 64 * 1024


class _Sink(io.RawIOBase):
    """A file that can only be written, and hands on what was written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer") -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def drain(self) -> Iterator[bytes]:
        parts, self._parts = self._parts, []
        if parts:
            yield parts[0] if len(parts) == 1 else b"".join(parts)


def _zip(members: Sequence[Member], method: int) -> Iterator[bytes]:
    sink = _Sink()
    # A sink that can't seek makes zipfile write sizes and checksums after each member.
    with zipfile.ZipFile(sink, "w", method, compresslevel=1) as archive:
        for member in members:
            with archive.open(member.path, "w", force_zip64=member.size > ZIP64_BYTES) as file:
                for chunk in member.chunks():
                    file.write(chunk)
                    yield from sink.drain()
            yield from sink.drain()
    yield from sink.drain()


def _tar(members: Sequence[Member]) -> Iterator[bytes]:
    written = 0
    for member in members:
        info = tarfile.TarInfo(member.path)
        info.size = member.size
        head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        padding = bytes(-member.size % tarfile.BLOCKSIZE)
        written += len(head) + member.size + len(padding)
        yield head
        yield from member.chunks()
        yield padding
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(written + end) % tarfile.RECORDSIZE)


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=GZIP_WINDOW)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
