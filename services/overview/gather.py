"""Asks everybody at the same time, and gives up soon: what does not answer in time is named as missing."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from refsys.services.common.messages import utc_now
from refsys.services.kpi.figures import Period, figures, total, with_shares
from refsys.services.metrics.alertmanager import AlertmanagerSilentError, FiringAlerts
from refsys.services.metrics.prometheus import Prometheus, PrometheusDownError, QueryError
from refsys.services.operations.chain import chain_figures
from refsys.services.overview.queries import BY_LABEL, FACTS, SERIES, Figure

DEADLINE_SECONDS = 4.0
ASK_SECONDS = 3.0
BACK = timedelta(days=1)
STEP_SECONDS = 1800

PROMETHEUS, ALERTMANAGER, DATABASE = "Prometheus", "Alertmanager", "the database"
AT_ONCE = {PROMETHEUS: 4, ALERTMANAGER: 1, DATABASE: 1}
"""Who hangs holds up nobody else."""
ERRORS = (PrometheusDownError, QueryError, AlertmanagerSilentError, SQLAlchemyError)

Point = tuple[float, float]
Row = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A series of the last day, and what it is now, if that is known."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]
    value: float | None


@dataclass(frozen=True)
class Gathered:
    """What was answered, and by source why something was not."""

    moment: datetime
    answers: Mapping[str, Any]
    missing: Mapping[str, str]

    def fact(self, name: str) -> float | None:
        """A number of `FACTS`."""
        return next(iter(self.by_label(name).values()), None)

    def by_label(self, name: str) -> dict[str, float]:
        """Numbers by the value of a label."""
        found: dict[str, float] = self.answers.get(name, {})
        return found

    def lines(self, name: str) -> list[Line]:
        """Series of a figure."""
        found: list[Line] = self.answers.get(name, [])
        return found


class Sources:
    """Whom the overview asks."""

    def __init__(self, prometheus: Prometheus, alerts: FiringAlerts, engine: Engine) -> None:
        """Nothing is asked for yet."""
        self._prometheus, self._alerts, self._engine = prometheus, alerts, engine
        self._workers = {source: ThreadPoolExecutor(count, source) for source, count in AT_ONCE.items()}

    def gather(self) -> Gathered:
        """Ask all, and wait for `DEADLINE_SECONDS` at most."""
        now, answers, missing = utc_now(), dict[str, Any](), dict[str, str]()
        asked = {self._workers[source].submit(ask): (source, name) for source, name, ask in self._questions(now)}
        done, late = wait(asked, DEADLINE_SECONDS)
        for each in done:
            source, name = asked[each]
            if error := _error(each):
                missing[source] = error
            else:
                answers[name] = each.result()
        for each in late:
            each.cancel()
            missing[asked[each][0]] = f"{asked[each][0]} gave no answer in {DEADLINE_SECONDS:g} s"
        return Gathered(now, answers, missing)

    def _questions(self, now: datetime) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        yield ALERTMANAGER, "alerts", self._alerts.all
        yield DATABASE, "chain", self._chain
        yield DATABASE, "missions", partial(self._missions, now)
        for name, expression in FACTS.items():
            yield PROMETHEUS, name, partial(self._now, expression, "")
        for name, (label, expression) in BY_LABEL.items():
            yield PROMETHEUS, name, partial(self._now, expression, label)
        for figure in SERIES:
            yield PROMETHEUS, figure.name, partial(self._day, figure, now)

    def _now(self, expression: str, label: str) -> dict[str, float]:
        found = self._prometheus.query(expression, seconds=ASK_SECONDS)["result"]
        return {each["metric"].get(label, ""): float(each["value"][1]) for each in found}

    def _day(self, figure: Figure, now: datetime) -> list[Line]:
        found = self._prometheus.query_range(figure.expression, now - BACK, now, STEP_SECONDS, seconds=ASK_SECONDS)
        return [_line(each, now.timestamp()) for each in found["result"]]

    def _chain(self) -> Row:
        with self._engine.connect() as connection:
            return chain_figures(connection)

    def _missions(self, now: datetime) -> list[Row]:
        """Return the KPIs of today by mission."""
        with self._engine.connect() as connection:
            rows = figures(connection, Period.of_day(now.date()), now)["value"]
        missions = sorted({row["mission"] for row in rows})
        return [
            {"mission": mission, **with_shares(total([row for row in rows if row["mission"] == mission]))}
            for mission in missions
        ]


def _line(series: Row, now: float) -> Line:
    points = tuple((float(at), float(value)) for at, value in series["values"] if value not in {"NaN", "+Inf", "-Inf"})
    known = bool(points) and now - points[-1][0] < 1
    return Line(series["metric"], points, points[-1][1] if known else None)


def _error(asked: Future[Any]) -> str:
    """Why something was not answered; what nobody expects is raised."""
    error = asked.exception()
    if error is None:
        return ""
    if not isinstance(error, ERRORS):
        raise error
    return str(error).partition("\n")[0][:200]
