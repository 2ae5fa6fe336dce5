"""What the operators' API tells of the chain: stations, work, dead letters."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from refsys.infra.cli.moments import age, stamp
from refsys.infra.cli.records import plain
from refsys.infra.health.parts import Finding
from refsys.infra.operators import Operators
from refsys.platform.components.names import INGESTION_TRIGGER

PATH = "/operations/v1/chain"
LATE_SECONDS = 3600
LATELY_MINUTES = 15
SPARE_SECONDS = 30
POLL_FAILED = "poll failed"


def findings(environment: str, figures: Mapping[str, Any], now: datetime) -> list[Finding]:
    """What waits for somebody. The environment works nevertheless."""
    found = []
    letters, work, refused = figures["deadLetters"], figures["inWork"], figures["quarantined"]
    if letters["waiting"]:
        oldest = age(_seconds(letters["oldest"], now))
        text = f"{letters['waiting']} dead letters wait for an operator, the oldest since {oldest}"
        found.append(Finding(text, "restart or delete them: docs/dead-letters.md", serious=False))
    oldest = work["oldest"]
    if oldest and (seconds := _seconds(oldest["seen"], now)) > LATE_SECONDS:
        said = f": {plain(oldest['reason'])[:300]}" if oldest["reason"] else ""
        text = f"{oldest['name']} of station {oldest['station']} is in work since {age(seconds)}{said}"
        step = f"./refsys logs {environment} --product {oldest['name']} --since {_since(seconds)}"
        found.append(Finding(text, step, serious=False))
    if refused["count"]:
        last = refused["last"]
        text = f"{refused['count']} files were not taken within a day, the last {last['name']}: {plain(last['reason'])}"
        step = f"./refsys logs {environment} --product {last['name']} --since 1d"
        found.append(Finding(text, step, serious=False))
    return found


def silent_stations(operators: Operators, now: datetime) -> dict[str, str]:
    """Stations whose last poll failed, and why."""
    lately = stamp(now - timedelta(minutes=LATELY_MINUTES))
    asked = {"program": INGESTION_TRIGGER.name, "severity": "err", "text": POLL_FAILED, "size": 500}
    found: dict[str, str] = {}
    for record in operators.get("/operations/v1/logs", since=lately, **asked)["value"]:
        custom = (record.get("event") or {}).get("custom") or {}
        next_poll = timedelta(seconds=float(custom.get("next_poll_seconds_double", 0)) + SPARE_SECONDS)
        # A station that was polled again since, and did not fail, answers.
        if datetime.fromisoformat(record["@timestamp"]) + next_poll > now and "station_string" in custom:
            found.setdefault(custom["station_string"], plain(str(custom.get("reason_string", "")))[:200])
    return found


def station_findings(environment: str, silent: Mapping[str, str], played: Collection[str]) -> list[Finding]:
    """Tell of stations that don't answer, but those that only the demo plays."""
    names = sorted(set(silent) - set(played))
    if not names:
        return []
    step = f"ask who runs it; ./refsys logs {environment} --service {INGESTION_TRIGGER.name} --since 1h"
    return [Finding(f"no answer of station {', '.join(names)}: {silent[names[0]]}", step, serious=False)]


def told(figures: Mapping[str, Any], now: datetime) -> str:
    """The figures in a few words."""
    letters, work, stations = figures["deadLetters"], figures["inWork"], figures["stations"]
    parts = [f"{len(stations)} stations", f"{letters['waiting']} dead letters"]
    if work["oldest"]:
        parts.append(f"{work['count']} files in work, the oldest since {age(_seconds(work['oldest']['seen'], now))}")
    else:
        parts.append("nothing in work")
    return ", ".join(parts)


def _seconds(text: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(text)).total_seconds()


def _since(seconds: float) -> str:
    return f"{int(seconds / 3600) + 1}h"
