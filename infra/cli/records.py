"""Records and alerts as lines for people."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

STYLES = {
    "debug": "dim",
    "notice": "cyan",
    "warning": "yellow",
    "err": "red",
    "crit": "bold red",
    "alert": "bold red",
    "emerg": "bold red",
}
LEVELS = {"informational": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}
MESSAGE_CHARACTERS = 2000

Record = dict[str, Any]
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def line(record: Record) -> Text:
    """One record: time, severity, node, who said it, what."""
    severity = str(record.get("severity", ""))
    style = STYLES.get(severity, "")
    return Text.assemble(
        (_time(record.get("@timestamp")), "dim"),
        " ",
        (f"{plain(severity):<7}", style),
        " ",
        (plain(str(record.get("host", "-"))), "dim"),
        " ",
        (plain(str(record.get("program", record.get("source", "-")))), "blue"),
        " ",
        (said(record), style),
    )


def said(record: Record) -> str:
    """What a record says, on one line; of machines' JSON what people look for."""
    event = record.get("event")
    if isinstance(event, dict):
        if record.get("source") == "kubernetes":
            return plain(_request(event))
        if record.get("source") == "suricata":
            return plain(_packet(event))
    text = plain(str(record.get("message", "")) + _more(event))
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}… (--json has all)"


def alert_lines(alert: Record) -> Iterator[Text]:
    """An alert: when, how bad, where and what; then what was seen, and what to do."""
    level = str(alert.get("level", ""))
    style = LEVELS.get(level, "")
    yield Text.assemble(
        (_time(alert.get("@timestamp")), "dim"),
        " ",
        (f"{plain(level):<8}", style),
        " ",
        (plain(str(alert.get("host", "-"))), "dim"),
        " ",
        (plain(str(alert.get("title", ""))), style),
        (f"  {alert.get('records', 0)} records, until {_time(alert.get('last_seen'))}", "dim"),
    )
    evidence = alert.get("evidence") or []
    if evidence:
        seen = said(evidence[0])
        yield Text.assemble("    seen: ", seen if len(seen) <= 200 else seen[:200] + "…")
    if alert.get("runbook"):
        yield Text.assemble("    do:   ", (plain(str(alert["runbook"])), "underline"))


def plain(text: str) -> str:
    """Text without what a terminal would obey: others wrote it."""
    return _CONTROL.sub(" ", text).strip()


def last_words(log: str, count: int = 2) -> list[str]:
    """The last lines of a container's log that say something; of the chain's lines their content."""
    lines = [content(each) for each in log.splitlines()]
    return [plain(each)[:300] for each in lines if each.strip()][-count:]


def content(text: str) -> str:
    """What a line of the chain says, else the line."""
    try:
        found = json.loads(text)
        return str(found["message"]["content"]) + _more(found)
    except (ValueError, TypeError, KeyError):
        return text


def _more(event: object) -> str:
    """What a line of the chain says beside its message: `error=… station=…`."""
    custom = event.get("custom") if isinstance(event, dict) else None
    if not isinstance(custom, dict):
        return ""
    return "".join(f" {key.rpartition('_')[0] or key}={value}" for key, value in custom.items())


def _request(event: Record) -> str:
    """A request to the API server."""
    target = event.get("objectRef") or {}
    parts = [target.get("resource"), target.get("subresource"), target.get("namespace"), target.get("name")]
    answer = event.get("responseStatus") or {}
    what = "/".join(str(part) for part in parts if part) or event.get("requestURI", "")
    who = (event.get("user") or {}).get("username", "-")
    return f"{who} {event.get('verb', '')} {what} → {answer.get('code', event.get('stage', ''))}"


def _packet(event: Record) -> str:
    """What Suricata saw."""
    ends = [f"{event.get(f'{end}_ip', '-')}:{event.get(f'{end}_port', '-')}" for end in ("src", "dest")]
    alert = event.get("alert") or {}
    what = alert.get("signature") or event.get("event_type", "")
    return f"{what} {event.get('proto', '')} {ends[0]} → {ends[1]}"


def _time(text: object) -> str:
    try:
        found = datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return plain(str(text))
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
