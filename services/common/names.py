"""What a file name tells, read with the one table of patterns."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from refsys.services.common.families import Family
from refsys.services.common.patterns import PATTERNS, Fields, Pattern

MAX_NAME = 255
MISSIONS = ("S1", "S2", "S3")
_PACKING = re.compile(r"(?:\.(?:zip|tar|tgz|TGZ|tar\.gz))$")
_TIMELINESS = {"NR": "NRT", "ST": "STC", "NT": "NTC"}


class InvalidNameError(ValueError):
    """A file name that the chain does not take; the message says why."""


@dataclass(frozen=True)
class ProductName:
    """What a file name tells.

    `mission` is like `S1` (`EDR` for plans of the relay satellites, empty for a session whose name tells none),
    `satellite` a letter or empty; times are in UTC, None where the name has none or an open one; `timeliness` is
    that of Sentinel-3 products; `families` are the possible ones, likeliest first; `fields` has the other parts.
    """

    name: str
    kind: str
    mission: str
    satellite: str
    product_type: str
    families: tuple[Family, ...] = ()
    start: datetime | None = None
    stop: datetime | None = None
    generated: datetime | None = None
    timeliness: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def satellite_id(self) -> str:
        """`S1A`; the mission alone where the file serves all satellites."""
        return self.mission + self.satellite

    @property
    def unpacked(self) -> str:
        """The name without the extension of its packing."""
        return _PACKING.sub("", self.name)


def parse_name(name: str) -> ProductName:
    """Check a file name against the table; raises `InvalidNameError` for anything else.

    A name never becomes part of a path or URL before it passed here.
    """
    if len(name) > MAX_NAME:
        raise InvalidNameError(f"file name has {len(name)} characters, {MAX_NAME} are allowed")
    if "/" in name or "\\" in name or ".." in name:
        raise InvalidNameError("file name has a path in it")
    if not name.isascii() or not name.isprintable():
        raise InvalidNameError("file name has control or non-ASCII characters")
    for pattern in PATTERNS:
        if match := pattern.expression.fullmatch(name):
            return _parsed(name, pattern, {key: value or "" for key, value in match.groupdict().items()})
    raise InvalidNameError(
        "file name follows none of the known conventions: " + ", ".join(pattern.kind for pattern in PATTERNS)
    )


def _parsed(name: str, pattern: Pattern, fields: Fields) -> ProductName:
    return ProductName(
        name,
        pattern.kind,
        fields["mission"],
        fields["sat"].strip("_"),
        fields["type"],
        pattern.families(fields),
        start=_time(fields.get("start") or fields.get("only", "")),
        stop=_time(fields.get("stop", "")),
        generated=_time(fields.get("generated") or fields.get("made", "")),
        timeliness=_TIMELINESS.get(fields.get("timeliness", ""), ""),
        fields={key: value for key, value in fields.items() if value},
    )


def _time(text: str) -> datetime | None:
    """A time of a name; None for none, an open end (`9999…`), or digits that are no time."""
    if not text or text.startswith(("0000", "9999")):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def shown(name: str) -> str:
    """An untrusted name for logs and tables: printable, bounded."""
    return ascii(name)[1:-1][:MAX_NAME]
