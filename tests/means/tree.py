"""A tree of sessions and auxiliary files as XBIP and EDIP stations have it (reference-system.md §3.3)."""

import os
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from tests.means.documents import information_block

SECONDS = 600
"""Of a downlink."""
SESSION = "S1A_20200105072204051312"


def make_session(
    root: Path,
    *,
    mode: str = "NOMINAL",
    station: str | None = None,
    satellite: str = "S1A",
    session: str = SESSION,
    channel_form: str = "ch_{}",
    blocks: int = 3,
    size: int = 200_000,
) -> dict[str, bytes]:
    """Write the files of a session with two channels; returns their bytes by path."""
    parts = [mode, station, satellite, session]
    folder = "/".join(part for part in parts if part)
    return fill(root, folder, session, channel_form, blocks, size)


def fill(root: Path, folder: str, session: str, channel_form: str, blocks: int, size: int) -> dict[str, bytes]:  # noqa: PLR0917
    """Write two channels of a session into a folder below the root; returns the bytes by path."""
    random = Random(session)  # noqa: S311  # no secret
    files: dict[str, bytes] = {}
    told = re.search(r"\d{14}", session)
    begin = datetime.strptime(told[0], "%Y%m%d%H%M%S") if told else datetime(2020, 1, 1)
    for channel in (1, 2):
        start = f"{folder}/{channel_form.format(channel)}/DCS_01_{session}_ch{channel}_"
        paths = [f"{start}DSDB_{number:05d}.raw" for number in range(1, blocks + 1)]
        files |= {path: random.randbytes(size) for path in paths}
        names = [path.rpartition("/")[2] for path in paths]
        document = information_block(session, begin, begin + timedelta(seconds=SECONDS), names, blocks * size)
        files[f"{start}DSIB.xml"] = document.encode()
    for path, data in files.items():
        write(root, path, data)
    return files


def write(root: Path, path: str, data: bytes, *, age: float = 0) -> None:
    """Write a file that was modified `age` seconds ago."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    moment = time.time() - age
    os.utime(file, (moment, moment))
