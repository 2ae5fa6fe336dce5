"""Times as people give them on the command line."""

import re
from datetime import UTC, datetime, timedelta

from refsys.infra.errors import UserError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([smhdw])")


def moment(text: str, now: datetime) -> datetime:
    """The moment that `text` means: an age, as `90s`, `15m`, `1h`, `2d`, `1w`, or a time of ISO 8601, UTC if unsaid.

    Raises:
        UserError: it is neither.
    """
    if age := _AGE.fullmatch(text.strip()):
        return now - timedelta(**{UNITS[age[2]]: int(age[1])})
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(
            f"{text!r} is no time", fix="an age, as 90s, 15m, 1h, 2d, 1w, or a time in UTC, as 2026-11-22T05:30"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def stamp(found: datetime) -> str:
    """A moment as the operators' API takes it."""
    return found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
