"""Numbers and times for people."""

from datetime import datetime

from refsys.services.common import pages
from refsys.services.overview.queries import Unit

SPACE = "\N{NO-BREAK SPACE}"


def told(value: float | None, unit: Unit) -> str:
    """A number with its unit, short enough for a phone."""
    if value is None:
        return "-"
    match unit:
        case "seconds":
            return duration(value)
        case "share":
            return f"{value * 100:.0f}{SPACE}%"
        case "euro":
            return f"{value:,.2f}{SPACE}€".replace(",", SPACE)
        case "number":
            return f"{round(value):,}".replace(",", SPACE)


def duration(seconds: float) -> str:
    """A time span that stays on its line."""
    return pages.duration(seconds, SPACE)


def moment(at: datetime) -> str:
    """A time to the minute, UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
