"""Auxiliary files as stations deliver them, made up but in the real formats; the same seed, the same bytes.

python -m tests.means.generator FOLDER --count 20 [--seed 1] [--size BYTES] [--samples SAMPLES]
"""

import argparse
import gzip
import io
import itertools
import math
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import IO

from typing_extensions import Buffer

from tests.means import documents
from tests.means.documents import COMPACT, Times

EPOCH = datetime(2024, 1, 1)  # product times have no zone in their notation
PAYLOAD_BYTES = 200_000
BLOCK_BYTES = 2**20
LAST_SEED = 389
"""Names hold times, which go up with the seed; those of later ones are beyond the year in which validity ends."""
_AUXILIARY = re.compile(r"_AUX_|_AX_|_OPER_(REP|MPL|MSK)_")


def generate(folder: Path, count: int, seed: int = 1, size: int = PAYLOAD_BYTES) -> list[Path]:
    """Write `count` auxiliary files of all kinds, in turn; archives carry `size` bytes of data each."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: list[Maker] = [_orbit, _calibration, _memory, _weather, _sentinel3]
    made = []
    for index, maker in zip(range(count), itertools.cycle(makers), strict=False):
        random = Random(f"{seed}/{index}")  # noqa: S311  # made-up data, not a secret
        made.append(maker(folder, random, seed * 100_000 + index, size))
    return made


Members = list[tuple[str, str | Iterator[bytes]]]
Maker = Callable[[Path, Random, int, int], Path]


def _times(random: Random, number: int, hours: float) -> Times:
    """Times of a file; `number` makes the creation, hence the name, unique."""
    start = EPOCH + timedelta(seconds=number * 61)
    stop = start + timedelta(hours=hours)
    return Times(stop + timedelta(seconds=random.randrange(600, 3600)), start, stop)


def _orbit(folder: Path, random: Random, number: int, _size: int) -> Path:
    kind, hours, step = random.choice([("RESORB", 3.3, 10), ("POEORB", 26, 60), ("PREORB", 6, 10)])
    satellite = "ABCD"[number % 4]
    times = created, start, stop = _times(random, number, hours)
    name = f"S1{satellite}_OPER_AUX_{kind}_OPOD_{created:{COMPACT}}_V{start:{COMPACT}}_{stop:{COMPACT}}"
    path = folder / f"{name}.EOF"
    with path.open("w", encoding="ascii") as file:
        file.write(documents.orbit_head(name, f"Sentinel-1{satellite}", f"AUX_{kind}", times))
        count = int((stop - start).total_seconds() // step)
        file.write(f'<Data_Block type="xml">\n  <List_of_OSVs count="{count}">\n')
        phase = random.random() * math.tau
        for position in range(count):
            file.write(documents.state_vector(start + timedelta(seconds=position * step), number, phase))
        file.write("  </List_of_OSVs>\n</Data_Block>\n</Earth_Explorer_File>\n")
    return path


def _calibration(folder: Path, random: Random, number: int, size: int) -> Path:
    kind = random.choice(["CAL", "INS", "PP1", "PP2"])
    satellite = "ABCD"[number % 4]
    times = created, start, _ = _times(random, number, 1)
    name = f"S1{satellite}_AUX_{kind}_V{start:{COMPACT}}_G{created:{COMPACT}}.SAFE"
    data = f"s1{satellite.lower()}-aux-{kind.lower()}.xml"
    members: Members = [
        (f"{name}/manifest.safe", documents.safe_manifest(satellite, kind, times, data, size)),
        (f"{name}/data/{data}", _xml_payload(random, size)),
    ]
    return _zip(folder / f"{name}.zip", members, zipfile.ZIP_DEFLATED)


def _memory(folder: Path, random: Random, number: int, _size: int) -> Path:
    created, start, _ = _times(random, number, 1)
    path = folder / f"S1{'ABCD'[number % 4]}_OPER_AUX_OBMEMC_PDMC_{start:{COMPACT}}.xml"
    path.write_text(documents.memory_configuration(created, start, random), encoding="ascii")
    return path


def _weather(folder: Path, random: Random, number: int, size: int) -> Path:
    kind, site = random.choice([("ECMWFD", "PDMC"), ("UT1UTC", "PDMC")])
    times = created, start, stop = _times(random, number, 12)
    name = f"S2__OPER_AUX_{kind}_{site}_{created:{COMPACT}}_V{start:{COMPACT}}_{stop:{COMPACT}}"
    path = folder / f"{name}.TGZ"
    header = documents.header_file(name, "Sentinel-2", f"AUX_{kind}", times).encode()
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        _add(archive, f"{name}.DBL", io.BufferedReader(_Stream(_binary_payload(random, size))), size)
        _add(archive, f"{name}.HDR", io.BytesIO(header), len(header))
    return path


def _sentinel3(folder: Path, random: Random, number: int, size: int) -> Path:
    kind = random.choice(["___MA__AX", "___MF1_AX", "___BA__AX", "___OSF_AX"])
    satellite = "ABCD"[number % 4]
    times = created, start, stop = _times(random, number, 6)
    name = f"S3{satellite}_AX{kind}_{start:{COMPACT}}_{stop:{COMPACT}}_{created:{COMPACT}}_{'_' * 17}_ECW_O_SN_001.SEN3"
    members: Members = [
        (f"{name}/xfdumanifest.xml", documents.xfdu_manifest(satellite, times, size)),
        (f"{name}/ISPData.dat", _binary_payload(random, size)),
    ]
    return _zip(folder / f"{name}.zip", members, zipfile.ZIP_STORED)


def _binary_payload(random: Random, size: int) -> Iterator[bytes]:
    while size > 0:
        block = random.randbytes(min(size, BLOCK_BYTES))
        size -= len(block)
        yield block


def _xml_payload(random: Random, size: int) -> Iterator[bytes]:
    head, tail = b'<?xml version="1.0" encoding="utf-8"?>\n<auxiliaryData>\n', b"</auxiliaryData>\n"
    yield head
    size -= len(head) + len(tail)
    while size > 0:
        row = b"<values>" + random.randbytes(128).hex().encode() + b"</values>\n"
        block = (row * 256 if size > len(row) * 256 else row if size >= len(row) else b" " * size)[:size]
        size -= len(block)
        yield block
    yield tail


class _Stream(io.RawIOBase):
    """An iterator of blocks as a file to read from."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        self._rest = self._rest or next(self._blocks, b"")
        data, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(data)] = data
        return len(data)


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, file)


def _zip(path: Path, members: Members, method: int) -> Path:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, content in members:
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.compress_type = method
            with archive.open(member, "w", force_zip64=True) as file:
                for block in [content.encode()] if isinstance(content, str) else content:
                    file.write(block)
    return path


def pack(samples: Path, folder: Path) -> list[Path]:
    """Copy the auxiliary files of a folder of samples, unpacked ones packed as a station delivers them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for source in sorted(samples.iterdir()):
        if not _AUXILIARY.search(source.name):
            continue
        if source.is_file() and source.suffix in (".EOF", ".xml"):
            made.append(Path(shutil.copyfile(source, folder / source.name)))
        elif source.is_dir() and source.suffix in (".SAFE", ".SEN3"):
            files = [file for file in sorted(source.rglob("*")) if file.is_file()]
            members: Members = [(str(file.relative_to(samples)), iter([file.read_bytes()])) for file in files]
            made.append(_zip(folder / f"{source.name}.zip", members, zipfile.ZIP_DEFLATED))
        elif source.is_dir() and (source / "Inventory_Metadata.xml").is_file():
            made.append(_tar(source, folder / f"{source.name}.tar"))
    return made


def _tar(source: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for file in sorted(source.rglob("*")):
            if file.is_file():
                with file.open("rb") as content:
                    _add(archive, str(file.relative_to(source.parent)), content, file.stat().st_size)
    return path


def main() -> None:
    """Write the files and print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=PAYLOAD_BYTES, help="bytes of data in each archive")
    parser.add_argument("--samples", type=Path, help="folder of real files to add")
    arguments = parser.parse_args()
    made = generate(arguments.folder, arguments.count, arguments.seed, arguments.size)
    if arguments.samples:
        made += pack(arguments.samples, arguments.folder)
    print("\n".join(path.name for path in made))  # noqa: T201  # the output of the command


if __name__ == "__main__":
    main()
