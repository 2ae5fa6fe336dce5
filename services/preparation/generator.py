"""Making the order of a job that has all its inputs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from sqlalchemy import RowMapping

from refsys.services.common import tracing
from refsys.services.preparation import slices
from refsys.services.preparation.facts import t0_of
from refsys.services.preparation.finding import Settled
from refsys.services.preparation.needs import Subject
from refsys.services.production.chains import PLACEHOLDER
from refsys.services.production.order import Input, InputChecksum, Order, Output, Processor, Task
from refsys.services.production.shelf import Place
from refsys.services.production.states import LOWEST_PRIORITY, priority_of

SOONEST_FIRST = ("PT", "NRT", "STC", "FAST24", "NTC")


def order_of(place: Place, identifier: UUID, attempt: int, job: Subject, inputs: Sequence[Settled]) -> Order:
    """The order of a job."""
    chain, table = place.chain, place.table
    return Order(
        job_id=identifier,
        attempt=attempt,
        chain=chain.name,
        task_table=table.name,
        mission=job.mission,
        satellite=job.satellite,
        timeliness=job.timeliness,
        priority=LOWEST_PRIORITY if job.facts.ordered else priority_of(job.timeliness),
        processor=Processor(**chain.processor.model_dump()),
        tasks=[Task(**task.model_dump()) for task in table.tasks],
        total_timeout_seconds=chain.total_timeout_seconds,
        retries=table.retries,
        cpus=chain.resources.cpus,
        memory_mib=chain.resources.memory_mib,
        workdir_mib=chain.resources.workdir_mib,
        start_time=job.period.start,
        stop_time=job.period.stop,
        processing_mode=table.processing_mode,
        parameters=parameters_of(place, job),
        inputs=list(_inputs(inputs).values()),
        outputs=[
            Output(
                product_type=kind,
                family=output.family,
                pattern=pattern,
                mandatory=output.mandatory,
                end_to_end=output.end_to_end,
                oqc_check=output.oqc_check,
            )
            for output, kind, pattern in chain.patterns(table)
        ],
        t0_pdgs_date=job.facts.ordered or t0_pdgs(inputs),
        traceparent=tracing.headers().get("traceparent", ""),
    )


def parameters_of(place: Place, job: Subject) -> dict[str, str]:
    """The processing parameters; one that names what is not known of the job is left out, what was ordered counts."""
    known: dict[str, str] = {
        "satellite": job.satellite,
        "mission": job.mission,
        "timeliness": job.timeliness,
        "trigger": job.facts.name,
        "station": job.facts.station,
        **{name: str(value) for name, value in job.facts.attributes.items()},
    }
    found = {name: filled for name, text in place.table.parameters.items() if (filled := _filled(text, known))}
    found |= slices.parameters(job.period, place.table.slices) if place.table.slices else {}
    return found | job.facts.parameters


def t0_pdgs(inputs: Sequence[Settled]) -> datetime | None:
    """The latest time since which an input was there."""
    times = [
        t0_of(row["additional_fields"], _moment(row["trace"].get("station_publication")))
        for each in inputs
        for row in each.products
    ]
    return max((moment for moment in times if moment), default=None)


def most_urgent(classes: Sequence[str]) -> str:
    """The class of timeliness of a data take, by those of its segments."""
    known = [each for each in SOONEST_FIRST if each in classes]
    return known[0] if known else ""


def _inputs(inputs: Sequence[Settled]) -> dict[str, Input]:
    """The inputs by name: a product that serves two inputs is there once."""
    found: dict[str, Input] = {}
    for each in inputs:
        for row in each.products:
            given = _input(row, mandatory=each.need.mandatory)
            found.setdefault(given.name, given)
    return found


def _input(row: RowMapping, *, mandatory: bool) -> Input:
    checksums = [InputChecksum(algorithm=each["algorithm"], value=each["value"]) for each in row["checksums"]]
    strongest = next((each for each in checksums if each.algorithm.startswith("SHA")), None)
    return Input(
        name=PurePosixPath(row["key"]).name,
        product_type=row["product_type"],
        family=row["family"],
        bucket=row["bucket"],
        key=row["key"],
        size=row["size"],
        checksum=strongest or next(iter(checksums), None),
        folder=not checksums,
        mandatory=mandatory,
        start_time=row["content_start"],
        stop_time=row["content_end"],
    )


def _filled(text: str, known: Mapping[str, str]) -> str:
    names = PLACEHOLDER.findall(text)
    if any(not known.get(name) for name in names):
        return ""
    return PLACEHOLDER.sub(lambda found: known[found[1]], text)


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
