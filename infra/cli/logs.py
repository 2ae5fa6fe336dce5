"""`./refsys logs` and `./refsys alerts`: search in what the environment's nodes and services said."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from refsys.infra import paths
from refsys.infra.cli import endpoints as endpoint_files
from refsys.infra.cli.moments import moment, stamp
from refsys.infra.cli.records import alert_lines, line
from refsys.infra.errors import UserError
from refsys.infra.operators import AwayError, Operators

PATH = "/operations/v1/logs"
ALERTS = "/operations/v1/alerts"
PAGE = 1000
POLL_SECONDS = 2.0
OVERLAP = timedelta(seconds=30)
"""How late a record may come into the store and still be shown by `--follow`."""

Record = dict[str, Any]

console = Console()
notes = Console(stderr=True, soft_wrap=True)


class Severity(StrEnum):
    """Severities of records, the mildest first."""

    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERR = "err"
    CRIT = "crit"
    ALERT = "alert"
    EMERG = "emerg"


class Kind(StrEnum):
    """Kinds of logs (docs/logs.md)."""

    PROCESSING = "processing"
    SECURITY = "security"
    SYSTEM = "system"


class Level(StrEnum):
    """Levels of alerts, the mildest first."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass
class Search:
    """One question to the log store, asked as often as it takes."""

    operators: Operators
    conditions: dict[str, str | None]
    shown: dict[str, str] = field(default_factory=dict)
    """Records that were told already, by id, with their time."""

    def newest(self, since: datetime, until: datetime | None, count: int) -> tuple[list[Record], int]:
        """The newest records between two moments, the oldest first, and how many there are in all."""
        found: list[Record] = []
        known: set[str] = set()
        total, end, size = 0, until, min(PAGE, count)
        while len(found) < count:
            reach = {"since": stamp(since), "until": stamp(end) if end else None}
            answer = self.operators.get(PATH, **reach, size=size, **self.conditions)
            total = total or answer["count"]
            new = [record for record in answer["value"] if record["id"] not in known]
            if not new:
                break
            known |= {record["id"] for record in new}
            found += new
            if len(answer["value"]) < size:
                break
            # What has the same millisecond may lie on both sides of the page's end.
            end = datetime.fromisoformat(new[-1]["@timestamp"]) + timedelta(milliseconds=1)
        # The store keeps the order of records of the same moment.
        return sorted(found[:count], key=lambda record: datetime.fromisoformat(record["@timestamp"])), total

    def unseen(self, since: datetime) -> list[Record]:
        """Records from `since` on that were not told before, the oldest first."""
        found, _ = self.newest(since, None, 100 * PAGE)
        return self.mark(found)

    def mark(self, records: list[Record]) -> list[Record]:
        """Remember records as told; return those that were not."""
        new = [record for record in records if record["id"] not in self.shown]
        self.shown |= {record["id"]: record["@timestamp"] for record in new}
        return new

    def forget_before(self, since: datetime) -> None:
        """Forget what cannot come again."""
        self.shown = {
            key: moment for key, moment in self.shown.items() if datetime.fromisoformat(moment) >= since - OVERLAP
        }


Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, a record a line.")]


def search(  # noqa: PLR0917  # options of a command
    name: Name = "local",
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="Words that the message must have.")] = None,
    since: Annotated[str, typer.Option(help="From when: an age (90s, 15m, 1h, 2d) or a time in UTC.")] = "1h",
    until: Annotated[str | None, typer.Option(help="Until when, as --since.")] = None,
    service: Annotated[str | None, typer.Option(help="Who said it: prip, kafka, sshd, …")] = None,
    mission: Annotated[str | None, typer.Option(help="S1, S2 or S3.")] = None,
    product: Annotated[str | None, typer.Option(help="Name of a product.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="This and worse.")] = None,
    host: Annotated[str | None, typer.Option(help="The node.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Which logs.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="The newest so many.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search the logs of nodes, cluster, platform and services; times are UTC."""
    now = datetime.now(UTC)
    begin, end = moment(since, now), moment(until, now) if until else None
    if follow and end:
        raise UserError("--follow has no end", fix="leave out --until or --follow")
    if end and end <= begin:
        raise UserError(f"--until {until} is not after --since {since}", fix="give an earlier --since")
    conditions = {
        "program": service,
        "mission": mission,
        "product": product,
        "severity": severity,
        "host": host,
        "kind": kind,
        "text": text,
    }
    with Operators(_environment(name, text)) as operators:
        asked = Search(operators, conditions)
        found, total = asked.newest(begin, end, lines)
        _tell(asked.mark(found), as_json=as_json)
        if follow:
            oldest = datetime.fromisoformat(found[0]["@timestamp"]) if len(found) < total else begin
            _follow(asked, max(oldest, now - OVERLAP), as_json=as_json)
        elif not as_json:
            _footer(len(found), total, since)


def alerts(
    name: Name = "local",
    level: Annotated[Level | None, typer.Option(help="This and worse.")] = None,
    since: Annotated[str, typer.Option(help="From when: an age (15m, 1h, 2d, 1w) or a time in UTC.")] = "1d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an alert a line.")] = False,
) -> None:
    """List what the detection raised, with what to do; times are UTC."""
    begin = moment(since, datetime.now(UTC))
    with Operators(_environment(name)) as operators:
        answer = operators.get(ALERTS, since=stamp(begin), level=level, size=PAGE)
    for alert in reversed(answer["value"]):
        if as_json:
            typer.echo(json.dumps(alert))
        else:
            for each in alert_lines(alert):
                _print(each)
    if not as_json:
        _footer(len(answer["value"]), answer["count"], since, "alerts")


def _environment(name: str, text: str | None = None) -> dict[str, Any]:
    if text is None and not paths.environment_home(name).is_dir() and name != "local":
        raise UserError(
            f"environment {name} is not up", fix=f"./refsys up {name}; or, to search for it: ./refsys logs local {name}"
        )
    return endpoint_files.read(name)


def _follow(asked: Search, since: datetime, *, as_json: bool) -> None:
    away = ""
    with _until_interrupted():
        while True:
            sys.stdout.flush()
            time.sleep(POLL_SECONDS)
            begun = datetime.now(UTC)
            try:
                new = asked.unseen(since)
            except AwayError as error:
                if not away:
                    notes.print(Text(f"{error.args[0]}; waiting", "yellow"))
                away = str(error)
                continue
            if away:
                notes.print(Text("it answers again", "yellow"))
                away = ""
            _tell(new, as_json=as_json)
            since = begun - OVERLAP
            asked.forget_before(since)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return


def _tell(records: list[Record], *, as_json: bool) -> None:
    for record in records:
        if as_json:
            typer.echo(json.dumps(record))
        else:
            _print(line(record))


def _print(text: Text) -> None:
    console.print(text, soft_wrap=True)


def _footer(shown: int, total: int, since: str, what: str = "records") -> None:
    if not total:
        notes.print(Text(f"no {what} since {since} match; an earlier --since looks further back", "dim"))
    elif shown < total:
        more = f"; -n {min(total, 10 * PAGE)} shows more" if what == "records" else ""
        notes.print(Text(f"the newest {shown} of {total} {what}{more}", "dim"))
