"""The pages: one file each that needs nothing else, for a phone and a desk, light and dark."""

import base64
import hashlib
import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from refsys.services.common.pages import templates
from refsys.services.overview.gather import Row
from refsys.services.overview.numbers import SPACE, duration, moment, told
from refsys.services.overview.sparkline import sparkline

FIRST, SHOWN = 5, 10
MARKS = {"well": "✓", "look": "!", "unknown": "?", "bad": "✗"}
WORDS = {"well": "well", "look": "well, but look", "unknown": "not known", "bad": "not well"}
FOLDER = Path(__file__).parent
STYLE = (FOLDER / "portal.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""The style is in the page; nothing else is taken from anywhere."""


def portal(view: Row) -> str:
    """The overview's HTML; all that comes from outside is escaped."""
    now = datetime.fromisoformat(view["time"])
    pages = templates(FOLDER)
    pages.filters |= {
        "told": told,
        "percent": lambda value: "-" if value is None else f"{math.floor(value * 10) / 10:g}{SPACE}%",
        "moment": lambda text: moment(datetime.fromisoformat(text)),
        "ago": lambda text: duration((now - datetime.fromisoformat(text)).total_seconds()),
        "line": lambda figure: _line(figure, now.timestamp()),
    }
    alerts = view["alerts"] or []
    return pages.get_template("portal.html.j2").render(
        view=view,
        style=STYLE,
        marks=MARKS,
        first=FIRST,
        shown=SHOWN,
        count=sum(not alert["held"] for alert in alerts),
        told=_groups(alert for alert in alerts if not alert["held"]),
        held=_groups(alert for alert in alerts if alert["held"]),
        state={"name": _worst(view), "words": WORDS[_worst(view)]},
    )


def runbook(text: str) -> str:
    """A runbook's HTML."""
    title, _, rest = text.partition("\n")
    return (
        templates(FOLDER)
        .get_template("runbook.html.j2")
        .render(title=title.lstrip("# "), text=rest.strip(), style=STYLE)
    )


def _groups(alerts: Iterable[Row]) -> list[Row]:
    """Put alerts of one name together, with what each of them is about, and since when there is one."""
    groups: dict[str, Row] = {}
    for alert in alerts:
        group = groups.setdefault(alert["name"], {**alert, "summaries": []})
        group["since"] = min(group["since"], alert["since"])
        group["summaries"].append(alert["summary"] or alert["name"])
    return list(groups.values())


def _worst(view: Row) -> str:
    states = {line["state"] for line in view["status"]}
    return next((state for state in ("bad", "unknown", "look") if state in states), "well")


def _line(figure: Row, until: float) -> str:
    top = 1.0 if figure["unit"] == "share" else 0.0
    return sparkline(f"{figure['title']}, last day", figure["day"], until, top) or '<span class="none">no data</span>'
