"""Lines of FTP listings: MLSD (RFC 3659 §7) and LIST as `ls -l` writes it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MAX_SIZE = 2**63 - 1

_TIME = re.compile(r"\d{14}(?:\.\d{1,9})?", re.ASCII)
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
_LS = re.compile(
    r"(?P<kind>[-dlbcps])[-rwxsStTlL]{9}[.+@]?\s+\d{1,10}\s+\S+\s+\S+\s+(?P<size>\d{1,19})\s"
    r"+(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?P<last>\d{2}:\d{2}|\d{4})\s(?P<name>.+)",
    re.ASCII | re.DOTALL,
)
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}


class UnusableLineError(ValueError):
    """A line of a listing that can't be read; the message says why."""


@dataclass(frozen=True)
class FtpEntry:
    """A file or directory; `size` in bytes, None where it is not told."""

    name: str
    directory: bool
    size: int | None
    modified: datetime


def mlsd_entry(line: str) -> FtpEntry | None:
    """The entry of a line of MLSD; None for the directory itself, its parent and what is neither file nor directory."""
    text, space, name = line.partition(" ")
    if not space or not name:
        raise UnusableLineError("no facts and name")
    facts = {key.lower(): value for key, _, value in (fact.partition("=") for fact in text.split(";"))}
    kind = facts.get("type", "").lower()
    if kind not in ("file", "dir"):
        return None
    size, modify = facts.get("size", ""), facts.get("modify", "")
    if size and not _NUMBER.fullmatch(size):
        raise UnusableLineError("size is not a number of bytes")
    if not _TIME.fullmatch(modify):
        if kind == "dir":
            modify = "19700101000000"
        else:
            raise UnusableLineError("modify is not a time")
    try:
        moment = datetime.strptime(modify[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise UnusableLineError(f"modify is not a time: {error}") from None
    return FtpEntry(name, kind == "dir", _bytes(size), moment)


def list_entry(line: str, now: datetime) -> FtpEntry | None:
    """The entry of a line of LIST; None for links, devices, the total. `now` (UTC) tells the year that is left out."""
    if line.startswith("total ") or not line.strip():
        return None
    found = _LS.fullmatch(line)
    if found is None:
        raise UnusableLineError("not as `ls -l` writes it")
    if found["kind"] not in "-d" or found["name"] in (".", ".."):
        return None
    month = _MONTHS.get(found["month"])
    if month is None:
        raise UnusableLineError("no such month")
    try:
        moment = _moment(month, int(found["day"]), found["last"], now)
    except ValueError as error:
        raise UnusableLineError(f"no such time: {error}") from None
    directory = found["kind"] == "d"
    return FtpEntry(found["name"], directory, None if directory else _bytes(found["size"]), moment)


def _moment(month: int, day: int, last: str, now: datetime) -> datetime:
    if ":" not in last:
        return datetime(int(last), month, day, tzinfo=UTC)
    hour, minute = map(int, last.split(":"))
    for year in (now.year, now.year - 1):
        if (month, day) == (2, 29) and year % 4:
            continue
        moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
        if moment <= now + timedelta(days=1):  # a station's clock may be ahead, but not by a day
            return moment
    raise UnusableLineError("the time lies ahead")


def _bytes(text: str) -> int | None:
    size = int(text) if text else None
    if size is not None and size > MAX_SIZE:
        raise UnusableLineError("size is beyond 64 bits")
    return size
