"""The space packets of a level-0 product (docs/level0.md), as they lie in an archive."""

import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from refsys.infra.demo.content import Packet
from refsys.infra.errors import UserError
from refsys.services.processors.level0.streams import RECORD

ANNOTATION = "-annot.dat"
_STREAM = re.compile(r".*/measurement/[^/]*-ch(\d)-vc(\d+)-apid(\d+)\.dat")


def packets_of(archive: Path) -> Counter[Packet]:
    """All packets of a product.

    Raises:
        UserError: its archive is none, or its files don't go together.
    """
    try:
        files = dict(_files(archive))
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise UserError(f"{archive.name} is no archive: {error}", fix="report it with the log of compression") from None
    found: Counter[Packet] = Counter()
    for name, content in files.items():
        if stream := _STREAM.fullmatch(name):
            channel, virtual, process = map(int, stream.groups())
            records = np.frombuffer(files.get(name.removesuffix(".dat") + ANNOTATION, b""), RECORD)
            if int(records["length"].sum()) != len(content):
                raise UserError(f"{archive.name}: {name} and its annotations differ", fix="report it")
            for record in records:
                start = int(record["offset"])
                crc = zlib.crc32(content[start : start + int(record["length"])])
                found[channel, virtual, process, crc] += 1
    return found


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            yield from ((name, opened.read(name)) for name in opened.namelist() if name.endswith(".dat"))
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.name.endswith(".dat") and (file := packed.extractfile(member)):
                yield member.name, file.read()
