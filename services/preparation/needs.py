"""What a job needs: the inputs of its task table, for its period, its satellite and what made it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import Range

from refsys.services.common.families import SESSION_FAMILIES
from refsys.services.preparation.facts import Facts
from refsys.services.production.chains import ByDataTake, ByProduct, BySession, TaskTable, Wait, waiting
from refsys.services.production.check import TRIGGER_INPUT
from refsys.services.search.policies import COVERING, INTERSECTING, Policy

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """A time of sensing or validity."""

    start: datetime
    stop: datetime

    def wider(self, before: float, after: float) -> "Period":
        """With margins in seconds; never beyond what times can tell."""
        return Period(_shifted(self.start, -before), _shifted(self.stop, after))

    def __str__(self) -> str:
        """As operators read it."""
        return f"{shown(self.start)} to {shown(self.stop)}"


@dataclass(frozen=True)
class Sought:
    """Products that would serve an input."""

    product_types: tuple[str, ...]
    families: tuple[str, ...]
    period: Period
    policy: Policy | None = None
    same: Mapping[str, Any] = field(default_factory=dict)
    timeliness: str | None = None
    largest_gap_seconds: float | None = None
    product_id: UUID | None = None
    session: str = ""
    channels: int = 0
    data_take: str = ""

    @property
    def key(self) -> str | None:
        """The session or data take that it must belong to."""
        return self.session or self.data_take or None

    def rows(self) -> Iterator[dict[str, Any]]:
        """What is written down so that an event of such a product is noticed."""
        anywhen = self.key is not None or (self.policy and self.policy not in (*COVERING, *INTERSECTING))
        period = Range(None, None) if anywhen else Range(self.period.start, self.period.stop, bounds="[]")
        covers = not anywhen and self.policy in COVERING
        for kind in self.product_types:
            yield {"product_type": kind, "period": period, "covers": covers, "key": self.key}


@dataclass(frozen=True)
class Need:
    """An input of a job; until `wait_end` only its first alternative is taken, and only whole."""

    number: int
    name: str
    alternatives: tuple[Sought, ...]
    mandatory: bool = True
    partial: bool = False
    wait_end: datetime | None = None


@dataclass(frozen=True)
class Subject:
    """The job that needs something."""

    satellite: str
    timeliness: str
    period: Period
    since: datetime
    facts: Facts

    @property
    def mission(self) -> str:
        """`S1` of `S1A`."""
        return self.satellite[:2]


def needs_of(table: TaskTable, job: Subject) -> list[Need]:
    """The inputs of a job: what made it, and those of its task table."""
    return [_trigger(table, job), *(_need(table, number, job) for number in range(len(table.inputs)))]


def give_up_at(table: TaskTable, job: Subject) -> datetime:
    """When the job ends, if it has not all that is mandatory."""
    return _shifted(job.since, table.give_up_of(job.timeliness))


def open_rows(need: Need, satellite: str) -> Iterator[dict[str, Any]]:
    """The rows of an input that is waited for, one for each product type of each alternative."""
    number = 0
    for place, sought in enumerate(need.alternatives):
        useful = need.wait_end if place else None
        for row in sought.rows():
            yield {"input": need.number, "alternative": number, "satellite": satellite, "useful": useful, **row}
            number += 1


def _trigger(table: TaskTable, job: Subject) -> Need:
    trigger, facts = table.trigger, job.facts
    match trigger:
        case ByProduct():
            kinds, families = (facts.product_type,), (facts.family,)
            return Need(0, TRIGGER_INPUT, (Sought(kinds, families, job.period, product_id=facts.product_id),))
        case BySession():
            sought = Sought(
                ("DSIB", "DSDB"), SESSION_FAMILIES, job.period, session=facts.key, channels=trigger.channels
            )
        case ByDataTake():
            sought = Sought(tuple(trigger.product_types), (trigger.family,), job.period, data_take=facts.key)
    end = _end(waiting(trigger.wait, job.timeliness), job)
    return Need(0, TRIGGER_INPUT, (sought,), partial=True, wait_end=end)


def _need(table: TaskTable, number: int, job: Subject) -> Need:
    given = table.inputs[number]
    alternatives = tuple(
        Sought(
            (each.product_type,),
            (each.family,),
            job.period.wider(each.before, each.after),
            policy=each.policy,
            same={name: job.facts.attributes[name] for name in each.same if name in job.facts.attributes},
            timeliness=each.timeliness,
            largest_gap_seconds=each.largest_gap_seconds,
        )
        for each in given.alternatives
    )
    end = _end(given.wait_of(job.timeliness), job)
    return Need(number + 1, given.name, alternatives, given.mandatory, given.partial, end)


def _end(wait: Wait | None, job: Subject) -> datetime | None:
    if wait is None:
        return None
    ends = ((job.facts.downlink, wait.from_downlink), (job.facts.ingestion, wait.from_ingestion))
    return max(_shifted(moment, seconds) for moment, seconds in ends if seconds is not None)


def _shifted(moment: datetime, seconds: float) -> datetime:
    try:
        return min(max(moment + timedelta(seconds=seconds), FIRST), LAST)
    except OverflowError:
        return FIRST if seconds < 0 else LAST


def shown(moment: datetime) -> str:
    """A time as operators read it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
