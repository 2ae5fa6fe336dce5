"""What the operators' API tells of the chain: stations, work, dead letters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from refsys.infra.cli.moments import age
from refsys.infra.cli.records import plain
from refsys.infra.health.parts import Finding

PATH = "/operations/v1/chain"
LATE_SECONDS = 3600


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
