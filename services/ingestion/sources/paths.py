"""Paths of the tree stations XBIP and EDIP (reference-system.md §3.3), and what they tell of a downlink session.

{NOMINAL|RETRANSFER}/[STATION_4/]<SAT>/<session>/ch_1|ch01|ch1/DCS_NN_<session>_chN_{DSDB_nnnnn.raw|DSIB.xml}
[{NOMINAL|RETRANSFER}/][STATION_4/][<SAT>/]DCS_NN_<session>_dat/ch_1|ch01|ch1/…
"""

import re

from refsys.services.common.names import shown
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.source import SessionFile

MAX_PATH = 1024
MAX_DEPTH = 16

_FILE = re.compile(
    r"DCS_(?P<unit>\d{2})_(?P<session>[A-Za-z0-9_]{1,64})_ch(?P<channel>[12])_"
    r"(?:DSDB_(?P<block>\d{5,6})|DSIB)\.(?:raw|RAW|xml|XML|aisp|AISP)",
    re.ASCII,
)
_CHANNEL = re.compile(r"ch_?0?(?P<channel>[12])", re.ASCII)
_SATELLITE = re.compile(r"S[123][A-Z]_", re.ASCII)
_DATA = re.compile(r"DCS_\d{2}_(?P<session>[A-Za-z0-9_]{1,64})_dat", re.ASCII)
_PATH = re.compile(
    r"(?:(?P<mode>NOMINAL|RETRANSFER)/)?(?:(?P<station>[A-Z0-9_]{4})/)??(?:(?P<satellite>S[123][A-Z])/)?"
    r"(?P<folder>[A-Za-z0-9_]{1,80})/(?P<channel>[a-z0-9_]{1,5})/(?P<name>[^/]+)",
    re.ASCII,
)


class UnusablePathError(ValueError):
    """A path that is not taken; the message says why."""


def checked(path: str) -> str:
    """A path below the station's address that can be asked for; raises `UnusablePathError` for any other."""
    if not 0 < len(path) <= MAX_PATH or len(path.encode(errors="replace")) > MAX_PATH:
        raise UnusablePathError(f"path has {len(path)} characters, 1 to {MAX_PATH} are allowed")
    if not path.isprintable() or "\\" in path:
        raise UnusablePathError("path has control characters or backslashes")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise UnusablePathError(f"path is {len(parts)} levels deep, {MAX_DEPTH} are allowed")
    if any(part in ("", ".", "..") for part in parts):
        raise UnusablePathError("path has empty or relative parts")
    return path


def asked(path: str, station: str) -> str:
    """The path of a file to be fetched; `StationError` if it is none that `checked` takes."""
    try:
        return checked(path)
    except UnusablePathError as error:
        raise StationError(f"station {station}: {shown(path)} can't be asked for: {error}") from None


def session_of(path: str) -> SessionFile | None:
    """The session of a file by its path; None if it is no file of a session.

    No name tells which block is the last (the DSIB lists them, `tree_sessions`), so `final_block` is never set. Raises
    `UnusablePathError` when folder and name contradict each other.
    """
    whole, file = _PATH.fullmatch(path), _FILE.fullmatch(path.rpartition("/")[2])
    if whole is None or file is None:
        return None
    data = _DATA.fullmatch(whole["folder"])
    if data is None and not (whole["mode"] and whole["satellite"]):
        return None
    if (data["session"] if data else whole["folder"]) != file["session"]:
        raise UnusablePathError(f"session {file['session']} lies in the folder {whole['folder']}")
    channel = _CHANNEL.fullmatch(whole["channel"])
    if channel is None or channel["channel"] != file["channel"]:
        raise UnusablePathError(f"channel {file['channel']} lies in the folder {whole['channel']}")
    first = _SATELLITE.match(file["session"])
    return SessionFile(
        session_id=file["session"],
        satellite=whole["satellite"] or (first[0][:3] if first else ""),
        station_unit=file["unit"],
        channel=int(file["channel"]),
        block_number=int(file["block"]) if file["block"] else None,
        final_block=False,
        retransfer=whole["mode"] == "RETRANSFER",
    )
