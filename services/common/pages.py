"""Pages of reports: HTML from templates that lie beside the code that fills them."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

SIZES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def templates(*folders: Path) -> Environment:
    """Templates of `folders`: all that comes from outside is escaped, and a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def duration(seconds: float, space: str = " ") -> str:
    """A time span in its two largest units, with `space` between a number and its unit."""
    rest, parts = abs(round(seconds)), list[str]()
    for size, name in SIZES:
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size}{space}{name}")
            rest %= size
    return ("-" if seconds < 0 and parts else "") + (" ".join(parts) or f"0{space}s")
