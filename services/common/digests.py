"""Checksums computed while bytes stream, each algorithm on a thread of its own (hashlib releases the GIL)."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Self

from refsys.services.common.messages import Checksum

# PRIP name of the algorithm -> hashlib's
ALGORITHMS = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA3-256": "sha3_256",
    "SHA3-384": "sha3_384",
    "SHA3-512": "sha3_512",
}
OF_PRODUCTS = ("MD5", "SHA-256")  # what clients of the PRIP and the AUXIP compare
OF_SESSIONS = ("SHA-256",)  # the CADIP shows no checksums, and MD5 is the slower one: a third of an ingestion's work
_SMALL_BYTES = 64 * 1024


def standard_name(algorithm: str) -> str | None:
    """The PRIP name of an algorithm however it is written (`sha256`, `SHA-256`, `MD-5`); None if unknown."""
    plain = algorithm.upper().replace("-", "").replace("_", "")
    return next((name for name in ALGORITHMS if name.replace("-", "") == plain), None)


class Digests:
    """Size in bytes and checksums of a stream: `for chunk in digests.of(chunks)` inside its context."""

    def __init__(self, algorithms: Iterable[str] = OF_PRODUCTS) -> None:
        """Compute these, by their PRIP names."""
        self._hashes = {
            name: hashlib.new(ALGORITHMS[name], usedforsecurity=False) for name in dict.fromkeys(algorithms)
        }
        self._pool: ThreadPoolExecutor | None = None
        self.size = 0

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the threads."""
        if self._pool:
            self._pool.shutdown()

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks through; the values are complete when the iterator is exhausted."""
        running: list[Future[None]] = []
        for chunk in chunks:
            for future in running:
                future.result()
            self.size += len(chunk)
            if len(chunk) < _SMALL_BYTES or not self._hashes:
                for value in self._hashes.values():
                    value.update(chunk)
                running = []
            else:
                self._pool = self._pool or ThreadPoolExecutor(len(self._hashes), "digest")
                running = [self._pool.submit(value.update, chunk) for value in self._hashes.values()]
            yield chunk
        for future in running:
            future.result()

    def values(self) -> dict[str, str]:
        """Hexadecimal values by PRIP algorithm name."""
        return {name: value.hexdigest() for name, value in self._hashes.items()}

    def checksums(self, when: datetime) -> list[Checksum]:
        """The values as they go into messages and the catalogue."""
        return [Checksum(algorithm=name, value=value, checksum_date=when) for name, value in self.values().items()]
