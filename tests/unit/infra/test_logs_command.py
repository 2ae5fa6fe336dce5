"""`./refsys logs` and `./refsys alerts`: what is asked, what is shown, what goes wrong."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from tests.means.operators_environment import OPERATIONS, Paper, lay_out
from typer.testing import CliRunner

from refsys.infra.cli import logs, records
from refsys.infra.cli.app import app
from refsys.infra.cli.moments import age, moment, stamp
from refsys.infra.errors import UserError

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setattr(logs, "console", Console(width=160))
    return lay_out(tmp_path, monkeypatch)


class Store:
    """Answers searches as the log store does: the newest first, of one moment in the store's order."""

    def __init__(self, paper: Paper, *found: dict[str, Any]) -> None:
        self.records = list(found)
        paper.answers[f"{OPERATIONS}/operations/v1/logs"] = self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        since, until = (datetime.fromisoformat(asked[key]) if key in asked else None for key in ("since", "until"))
        found = [
            each
            for each in self.records
            if (since is None or datetime.fromisoformat(each["@timestamp"]) >= since)
            and (until is None or datetime.fromisoformat(each["@timestamp"]) < until)
        ]
        found.sort(key=lambda each: each["@timestamp"], reverse=True)
        return httpx.Response(200, json={"count": len(found), "value": found[: int(asked["size"])]})


def record(number: int, message: str = "", moment: datetime | None = None, **changes: Any) -> dict[str, Any]:
    when = moment or datetime.now(UTC) - timedelta(minutes=10) + timedelta(milliseconds=number)
    fields = {"host": "w1", "program": "prip", "severity": "info", "message": message or f"line {number}"}
    return {"id": f"r{number}", "@timestamp": stamp(when), **fields, **changes}


def run(*arguments: str) -> tuple[int, str, Exception | None]:
    done = CliRunner().invoke(app, list(arguments))
    error = done.exception if isinstance(done.exception, Exception) else None
    return done.exit_code, done.output, error


def test_a_record_is_one_line_without_what_a_terminal_would_obey(paper: Paper) -> None:
    Store(paper, record(1, "first\nsecond\x1b[2Jthird\u202e", severity="err"))
    code, output, _ = run("logs", "paper")
    assert code == 0
    (line,) = output.splitlines()
    assert line.endswith("Z err     w1 prip first second [2Jthird")


def test_records_come_the_oldest_first_and_those_of_one_moment_in_order(paper: Paper) -> None:
    same = datetime.now(UTC) - timedelta(minutes=1)
    Store(paper, record(2, "b", same), record(3, "c", same), record(1, "a"))
    assert [line[-1] for line in run("logs", "paper")[1].splitlines()] == ["a", "b", "c"]


def test_all_conditions_are_asked_for(paper: Paper) -> None:
    Store(paper)
    given = "--service prip --mission S1 --product S1A_X --severity warning --host w1 --kind processing -n 5"
    code, output, _ = run("logs", "paper", "no such", "--since", "2h", *given.split())
    assert code == 0
    assert "no records since 2h match" in output
    asked = dict(paper.asked[-1].url.params)
    since = datetime.fromisoformat(asked.pop("since"))
    assert timedelta(hours=2) <= datetime.now(UTC) - since < timedelta(hours=2, minutes=1)
    assert asked == {
        "program": "prip",
        "mission": "S1",
        "product": "S1A_X",
        "severity": "warning",
        "host": "w1",
        "kind": "processing",
        "text": "no such",
        "size": "5",
    }
    assert paper.asked[-1].headers["authorization"] == "Bearer of-demo"


def test_more_than_a_page_is_fetched_page_by_page(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PAGE", 10)
    Store(paper, *(record(number) for number in range(35)))
    _, output, _ = run("logs", "paper", "-n", "32")
    lines = output.splitlines()
    assert [line.rpartition(" ")[2] for line in lines[:-1]] == [str(number) for number in range(3, 35)]
    assert lines[-1].startswith("the newest 32 of 35 records; -n 35 shows more")


def test_json_is_the_record(paper: Paper) -> None:
    given = record(1, "a\x1b", event={"custom": {"error_string": "x"}})
    Store(paper, given)
    assert json.loads(run("logs", "paper", "--json")[1]) == given


def test_following_prints_each_record_once_late_ones_too(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    store = Store(paper, record(1, "seen", now - timedelta(seconds=5)))
    rounds: Iterator[Callable[[], None]] = iter(
        [
            lambda: store.records.append(record(2, "late", now - timedelta(seconds=20))),
            lambda: paper.operations("/operations/v1/logs", {"error": {"message": "the store is away"}}, 503),
            lambda: paper.answers.update({f"{OPERATIONS}/operations/v1/logs": store}),
            lambda: store.records.append(record(3, "new", datetime.now(UTC))),
        ]
    )

    def wait(_: float) -> None:
        step = next(rounds, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(time, "sleep", wait)
    code, output, _ = run("logs", "paper", "--follow")
    assert code == 0
    assert [line.rpartition(" ")[2] for line in output.splitlines() if "prip" in line] == ["seen", "late", "new"]
    assert output.count("the store is away; waiting") == 1
    assert output.count("it answers again") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "environment nowhere is not up"),
        (["paper", "--since", "yesterday"], "'yesterday' is no time"),
        (["paper", "--since", "1h", "--until", "2h"], "--until 2h is not after --since 1h"),
        (["paper", "--follow", "--until", "1m"], "--follow has no end"),
    ],
)
def test_wrong_input_is_told_before_anything_is_asked(paper: Paper, arguments: list[str], said: str) -> None:
    error = run("logs", *arguments)[2]
    assert isinstance(error, UserError)
    assert said in str(error)
    assert not paper.asked


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, {"error": {"message": "the role operator is missing"}}, "may not ask the operators' API of paper"),
        (503, {"error": {"message": "the log store does not answer"}}, "the log store does not answer"),
        (400, {"error": {"message": "mission: wrong"}}, "refuses: mission: wrong"),
        (404, {}, "it is older than this checkout"),
    ],
)
def test_what_the_api_refuses_is_told_with_its_reason(paper: Paper, status: int, body: Any, said: str) -> None:
    paper.operations("/operations/v1/logs", body, status)
    error = run("logs", "paper")[2]
    assert isinstance(error, UserError)
    assert said in str(error)
    assert "fix:" in str(error)


def test_an_environment_that_is_down_is_told(paper: Paper) -> None:
    paper.answers.clear()
    error = run("logs", "paper")[2]
    assert "the identity provider (https://auth.paper.test/realms/refsys) doesn't answer" in str(error)
    assert "./refsys status paper" in str(error)


def test_alerts_show_what_was_seen_and_what_to_do(paper: Paper) -> None:
    alert = {
        "@timestamp": "2026-11-22T08:00:00Z",
        "last_seen": "2026-11-22T08:01:00Z",
        "level": "high",
        "host": "w1",
        "title": "SSH brute force",
        "records": 6,
        "evidence": [{"source": "journal", "message": "Failed password for root"}],
        "runbook": "docs/runbooks/security/ssh-brute-force.md",
    }
    paper.operations("/operations/v1/alerts", {"count": 1, "value": [alert]})
    _, output, _ = run("alerts", "paper", "--level", "medium", "--since", "1w")
    first, seen, step = output.splitlines()
    assert "high     w1 SSH brute force  6 records" in first
    assert seen.endswith("seen: Failed password for root")
    assert step.endswith("do:   docs/runbooks/security/ssh-brute-force.md")
    assert dict(paper.asked[-1].url.params)["level"] == "medium"
    assert json.loads(run("alerts", "paper", "--json")[1]) == alert


def test_records_of_machines_are_told_in_words() -> None:
    request = {
        "verb": "create",
        "user": {"username": "mallory"},
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "infra", "name": "kafka-0"},
        "responseStatus": {"code": 101},
    }
    packet = {"src_ip": "10.0.0.1", "src_port": 1, "dest_ip": "10.0.0.2", "dest_port": 2, "proto": "TCP"}
    packet |= {"alert": {"signature": "ET SCAN"}}
    chain = {"custom": {"station_string": "ADGS", "next_poll_seconds_double": 60.0}}
    assert records.said({"source": "kubernetes", "event": request}) == "mallory create pods/exec/infra/kafka-0 → 101"
    assert records.said({"source": "suricata", "event": packet}) == "ET SCAN TCP 10.0.0.1:1 → 10.0.0.2:2"
    assert records.said({"message": "poll failed", "event": chain}) == "poll failed station=ADGS next_poll_seconds=60.0"


def test_times() -> None:
    assert moment("90s", NOW) == NOW - timedelta(seconds=90)
    assert moment("2d", NOW) == NOW - timedelta(days=2)
    assert moment("2026-11-22T10:00+01:00", NOW) == NOW
    assert stamp(moment("2026-11-22", NOW)) == "2026-11-22T00:00:00.000Z"
    assert [age(seconds) for seconds in (5, 150, 7300, 200_000)] == ["5 s", "2 min", "2 h", "2 d"]
