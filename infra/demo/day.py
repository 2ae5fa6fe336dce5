"""The second half of the demo: what production makes of the day's sessions, an order, a bench run, and the figures."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from refsys.infra.cli import kpi
from refsys.infra.cli.steps import Steps
from refsys.infra.demo.benching import benched
from refsys.infra.demo.client import Client
from refsys.infra.demo.content import Session
from refsys.infra.demo.day_report import Done
from refsys.infra.demo.ordering import Ordering
from refsys.infra.demo.production import Made, Production
from refsys.infra.demo.waiting import POLL_SECONDS, wait_for
from refsys.infra.drmaa import Session as Jobs
from refsys.infra.operators import Operators
from refsys.infra.orders import Orders

ORDERED, BENCHED = "S3A", "S1A"
"""Satellites of the sessions that are ordered, and benched."""
FIGURES_SECONDS = 60.0
"""How long lines may be on their way from a node's log to the figures."""


@dataclass
class Day:
    """Production in an environment with its endpoints, as an operator and user sees it."""

    environment: str
    endpoints: Mapping[str, Any]
    jobs: Jobs = field(init=False)
    orders: Orders = field(init=False)
    operators: Operators = field(init=False)
    _open: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Begin the sessions with its APIs."""
        self.jobs = self._open.enter_context(Jobs(self.endpoints))
        self.orders = self._open.enter_context(Orders(self.endpoints))
        self.operators = self._open.enter_context(Operators(self.endpoints))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        self._open.close()

    def production(self, client: Client, sources: Sequence[Session]) -> Production:
        """What the chain makes of sessions."""
        return Production(client, self.jobs, sources)

    def finish(self, client: Client, production: Production, sources: Sequence[Session], console: Console) -> Done:
        """What comes when the chain has made its products: compare them, order one, bench one, wait for the figures."""
        by_satellite = {session.satellite: session for session in sources}
        ordered, benched_one = by_satellite[ORDERED], by_satellite[BENCHED]
        row = next(
            row["productName"]
            for row in client.catalogued(ordered.id)
            if row["productName"].endswith(ordered.information[1])
        )
        ordering = Ordering(self.orders, ordered, row)
        with Steps(console) as steps:
            with steps.step("level-0 products downloaded, each packet compared"):
                made = production.fetch()
                production.check_once()
            with steps.step(f"the job of {benched_one.id} benched"):
                results, checks = benched(self.environment, self.jobs, production.job(benched_one), benched_one)
        wait_for([ordering], console)
        with Steps(console) as steps, steps.step("figures of the day"):
            figures = self._figures(made)
        return Done(made, ordering, results, checks, figures)

    def _figures(self, made: Sequence[Made]) -> dict[str, Any]:
        """The figures of today, as soon as they know of what was published today."""
        today = datetime.now(UTC).date()
        dates = [datetime.fromisoformat(row["PublicationDate"]) for each in made for row in each.products]
        expected = sum(each.date() == today for each in dates)
        end = time.monotonic() + FIGURES_SECONDS
        while True:
            figures: dict[str, Any] = self.operators.get(f"{kpi.ROOT}/day")
            published = sum(row["published"] for row in figures["value"] if row["level"] == "L0")
            if published >= expected or time.monotonic() > end:
                return figures
            time.sleep(POLL_SECONDS)
