"""Compression from store to store against the object store's own copy rate: MB/s of each format, and the ratio.

PYTHONPATH=src python benchmarks/bench_compression.py [--mib 512]

The peer in the same run is a plain copy: the same bytes read from the store and put into it, with checksums.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import HttpUrl
from tests.means.certificates import Authority
from tests.means.object_store import object_store

from refsys.services.common.ahead import made_ahead
from refsys.services.common.digests import Digests
from refsys.services.common.settings import S3Settings
from refsys.services.common.store import MIB, ObjectStore
from refsys.services.compression.archives import pack, size_limit
from refsys.services.compression.products import members
from refsys.services.compression.rules import Format

FILES = 4
ROUNDS = 3


def instrument_data(size: int) -> Iterator[bytes]:
    """Half noise, half small numbers: about as compressible as radar data."""
    while size > 0:
        block = os.urandom(MIB // 2) + bytes(value & 15 for value in os.urandom(MIB // 2))
        yield block[:size]
        size -= MIB


def fill(store: ObjectStore, mib: int) -> int:
    """Store a product as a folder of objects; returns its bytes."""
    each = mib * MIB // FILES
    for number in range(FILES):
        store.put("source", f"P.SAFE/{number}.dat", instrument_data(each), each)
    return each * FILES


def copy(store: ObjectStore, total: int) -> None:
    """Copy the product object by object."""
    for member in members(store, "s3://source/P.SAFE", total):
        with Digests() as digests, made_ahead(digests.of(member.read())) as chunks:
            store.put("target", member.path, chunks, member.size)


def compress(store: ObjectStore, total: int, form: Format) -> None:
    """Make the product's archive."""
    files = members(store, "s3://source/P.SAFE", total)
    with Digests() as digests, made_ahead(digests.of(pack(form, files))) as chunks:
        store.put("target", "P.archive", chunks, size_limit(files))


def rate(total: int, work: Callable[[], None]) -> float:
    """The best MB/s of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        started = time.monotonic()
        work()
        best = max(best, total / 1e6 / (time.monotonic() - started))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="size of the product")
    mib = parser.parse_args().mib
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with object_store(folder / "s3", Authority(folder / "certificates")) as server:
            store = ObjectStore(
                S3Settings(
                    endpoint=HttpUrl(server.endpoint),
                    ca_file=server.ca_file,
                    access_key_file=server.access_key_file,
                    secret_key_file=server.secret_key_file,
                )
            )
            for bucket in ("source", "target"):
                store.make_bucket(bucket)
            total = fill(store, mib)
            peer = rate(total, lambda: copy(store, total))
            print(f"{'copy':22} {peer:8.1f} MB/s")  # noqa: T201
            for form in (Format.ZIP_DEFLATE, Format.TAR, Format.ZIP_STORE):
                found = rate(total, lambda form=form: compress(store, total, form))  # type: ignore[misc]
                print(f"{form:22} {found:8.1f} MB/s  {found / peer:5.2f} of copy")  # noqa: T201


if __name__ == "__main__":
    main()
