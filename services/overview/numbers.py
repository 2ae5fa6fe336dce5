"""Numbers and times for people."""

from datetime import datetime

from refsys.services.overview.queries import Unit

SPACE = "\N{NO-BREAK SPACE}"
SIZES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


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
    """A time span in its two largest units."""
    rest, parts = abs(round(seconds)), list[str]()
    for size, name in SIZES:
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size}{SPACE}{name}")
            rest %= size
    return ("-" if seconds < 0 and parts else "") + (" ".join(parts) or f"0{SPACE}s")


def moment(at: datetime) -> str:
    """A time to the minute, UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
