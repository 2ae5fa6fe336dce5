"""Chains as data: task tables with their triggers, inputs, time-outs, programs and outputs (docs/preparation.md).

A task table may stand for several (`each`): `{mode}` in its texts is filled in from the list of that name. What
triggers a table and what it makes are closed lists of product types, so that what is wrong with a chain is found
before it runs (`refsys.services.production.check`).
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from refsys.services.common.families import Family
from refsys.services.production.order import RETRIES_LIMIT
from refsys.services.production.patterns import default_pattern, problem_of
from refsys.services.search.policies import Policy

DEFAULT: Literal["default"] = "default"
VALUES_LIMIT = 64
TABLES_LIMIT = 100
TYPES_LIMIT = 100
ORDER_INPUTS = frozenset({"products", "bbox", "polygon", "datetime"})
"""What an order says of the products that are processed; parameters are called otherwise."""
PLACEHOLDER = re.compile(r"\{([a-z][A-Za-z_]*)\}")

Timeliness = Literal["PT", "NRT", "FAST24", "STC", "NTC"]
Class = Literal["PT", "NRT", "FAST24", "STC", "NTC", "default"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
ProductType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Seconds = Annotated[float, Field(ge=0, le=366 * 86400)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


def _expression(text: str) -> str:
    if problem := problem_of(text):
        raise ValueError(problem)
    return text


Pattern = Annotated[str, Field(max_length=500), AfterValidator(_expression)]


class Strict(BaseModel):
    """Base of everything in a chain file: no field that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Processor(Strict):
    """The image of a processor (in the environment's registry, or with a registry before it), its name and version."""

    image: str = Field(pattern=r"^[a-z0-9][a-z0-9._/:@-]{0,254}$")
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    version: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")


class Resources(Strict):
    """What a job of the processor may use."""

    cpus: float = Field(gt=0, le=256)
    memory_mib: int = Field(ge=16, le=4 * 2**20)
    workdir_mib: int = Field(ge=1, le=64 * 2**20)


class Task(Strict):
    """A program of the processor."""

    name: Word
    command: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field(min_length=1, max_length=100)
    timeout_seconds: int = Field(default=600, ge=1, le=86400)


class Wait(Strict):
    """Until when something is waited for: the later of these times after the downlink and after the ingestion."""

    from_downlink: Seconds | None = None
    from_ingestion: Seconds | None = None

    @model_validator(mode="after")
    def _tells_one(self) -> Self:
        if self.from_downlink is None and self.from_ingestion is None:
            raise ValueError("neither from_downlink nor from_ingestion is told; set one, or leave wait away")
        return self


class Alternative(Strict):
    """One kind of product that serves an input: chosen by a policy for the job's period and its margins in seconds.

    `same` are attributes that must have the values of the triggering product. With `largest_gap_seconds` the chosen
    ones have to follow each other over the whole period. `timeliness` is that of the product, any unless told.
    """

    product_type: ProductType
    family: Family
    policy: Policy = Policy.LATEST_COVER
    before: Seconds = 0
    after: Seconds = 0
    same: list[Word] = Field(default=[], max_length=10)
    timeliness: Timeliness | None = None
    largest_gap_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _gaps_of_many(self) -> Self:
        if self.largest_gap_seconds is not None and self.policy is not Policy.INTERSECT:
            raise ValueError(
                f"largest_gap_seconds is for policy {Policy.INTERSECT}, {self.policy} chooses otherwise;"
                " change policy, or leave largest_gap_seconds away"
            )
        return self


class Input(Strict):
    """An input of a job: the first alternative that is there.

    Until `wait` is over, by class of timeliness, only the first alternative is taken, and only whole; then any of them
    in their order, with gaps too if it is `partial`. What is not there then is left out, unless it is `mandatory`.
    """

    name: Word
    alternatives: list[Alternative] = Field(min_length=1, max_length=10)
    mandatory: bool = True
    partial: bool = False
    wait: dict[Class, Wait] = {}

    def wait_of(self, timeliness: str) -> Wait | None:
        """How long it is waited for in a class of timeliness."""
        return waiting(self.wait, timeliness)


class ByProduct(Strict):
    """A job for each product of these types; its period is the product's."""

    kind: Literal["product"]
    family: Family
    product_types: list[ProductType] = Field(min_length=1, max_length=VALUES_LIMIT)
    timeliness: list[Timeliness] = []


class BySession(Strict):
    """A job for each downlink session, when all files of its channels are there."""

    kind: Literal["session"]
    channels: int = Field(default=2, ge=1, le=2)
    wait: dict[Class, Wait] = {}


class ByDataTake(Strict):
    """A job for each data take, when its segments are there from the first to the last, in each polarisation."""

    kind: Literal["data_take"]
    family: Family
    product_types: list[ProductType] = Field(min_length=1, max_length=VALUES_LIMIT)
    wait: dict[Class, Wait] = {}


Trigger = Annotated[ByProduct | BySession | ByDataTake, Field(discriminator="kind")]


class Slices(Strict):
    """How a data take is cut: each slice begins `length_seconds` after the one before, and overlaps the next one."""

    length_seconds: float = Field(ge=0, le=3600)
    overlap_seconds: float = Field(default=0, ge=0, le=600)


class CoverageCheck(Strict):
    """A job is made only where the triggering product lies over a mask of the catalogue, by more than so much.

    `mask` is the input that the mask comes from; without it, the job is made.
    """

    task: Literal["SeaCoverageCheck", "L0EWSliceMaskCheck"]
    mask: Word
    more_than_percent: float = Field(default=0, ge=0, lt=100)


class Output(Strict):
    """Kinds of products that are made; `pattern` matches their names, the usual ones of each type unless told."""

    product_types: list[ProductType] = Field(min_length=1, max_length=VALUES_LIMIT)
    family: Family
    pattern: Pattern = ""
    mandatory: bool = True
    end_to_end: bool = True
    oqc_check: bool = True

    @model_validator(mode="after")
    def _one_by_pattern(self) -> Self:
        if self.pattern and len(self.product_types) > 1:
            raise ValueError("pattern is for one type; write an output for each type, or leave pattern away")
        return self


class UserParameter(Strict):
    """A processing parameter that who orders may set: to one of `values`, or to what `pattern` matches as a whole."""

    description: str = Field(default="", max_length=500)
    values: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=VALUES_LIMIT)
    pattern: Pattern = ""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if bool(self.values) == bool(self.pattern):
            raise ValueError("a parameter has either values or a pattern; write one of both")
        return self


class OnDemand(Strict):
    """That users may order jobs of a task table, and which parameters they may set; `only`: no others make any."""

    title: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=500)
    only: bool = False
    parameters: dict[Word, UserParameter] = Field(default={}, max_length=40)

    @field_validator("parameters")
    @classmethod
    def _names_are_free(cls, value: dict[str, UserParameter]) -> dict[str, UserParameter]:
        if taken := sorted(ORDER_INPUTS.intersection(value)):
            raise ValueError(f"{', '.join(taken)} says what is processed; name the parameter otherwise")
        return value


class TaskTable(Strict):
    """What makes a job, what it needs, what it runs and what comes out.

    `give_up` are the seconds after which a job without a mandatory input ends, by class of timeliness; the class is
    the triggering product's unless `timeliness` says another. `parameters` may name what is known of a job:
    `{satellite}`, `{timeliness}`, `{trigger}`, `{station}`, … and attributes of the product as `{orbitNumber}`.
    With `on_demand` users may order jobs of it. A job that its processor could not do is tried again `retries` times.
    """

    name: Name
    trigger: Trigger
    on_demand: OnDemand | None = None
    timeliness: Timeliness | None = None
    give_up: dict[Class, Seconds]
    inputs: list[Input] = Field(default=[], max_length=40)
    checks: list[CoverageCheck] = Field(default=[], max_length=4)
    slices: Slices | None = None
    parameters: dict[Word, Annotated[str, Field(max_length=200)]] = Field(default={}, max_length=100)
    processing_mode: str = "NOMINAL"
    retries: int = Field(default=0, ge=0, le=RETRIES_LIMIT)
    tasks: list[Task] = Field(min_length=1, max_length=20)
    outputs: list[Output] = Field(min_length=1, max_length=VALUES_LIMIT)

    @field_validator("outputs")
    @classmethod
    def _are_few(cls, value: list[Output]) -> list[Output]:
        if (count := sum(len(each.product_types) for each in value)) > TYPES_LIMIT:
            raise ValueError(f"outputs have {count} types, {TYPES_LIMIT} are possible; split the task table")
        return value

    @field_validator("give_up")
    @classmethod
    def _has_a_last_time(cls, value: dict[Class, float]) -> dict[Class, float]:
        if DEFAULT not in value:
            raise ValueError("give_up has no default; add default: with the seconds for all other classes")
        return value

    def give_up_of(self, timeliness: str) -> float:
        """After how many seconds a job of a class of timeliness ends without a mandatory input."""
        return self.give_up.get(_class(timeliness), self.give_up[DEFAULT])


class Chain(Strict):
    """A chain file: task tables of one mission and the processor of all of them.

    A chain that is not `enabled` is known and makes no jobs.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    mission: Literal["S1", "S2", "S3"]
    description: str = Field(default="", max_length=500)
    enabled: bool = True
    processor: Processor
    resources: Resources
    total_timeout_seconds: int = Field(default=3600, ge=1, le=10 * 86400)
    task_tables: list[TaskTable] = Field(min_length=1, max_length=TABLES_LIMIT)

    def patterns(self, table: TaskTable) -> Iterator[tuple[Output, str, str]]:
        """Of each type of product that a task table makes: the output, the type, and what the names match."""
        for output in table.outputs:
            for kind in output.product_types:
                yield output, kind, output.pattern or default_pattern(self.mission, kind)


def waiting(wait: Mapping[Class, Wait], timeliness: str) -> Wait | None:
    """How long something is waited for in a class of timeliness."""
    return wait.get(_class(timeliness), wait.get(DEFAULT))


def triggering(trigger: Trigger) -> set[tuple[str, str]]:
    """Family and type of products that make jobs."""
    if isinstance(trigger, BySession):
        return {(Family.EDRS_SESSION, "DSIB")}
    return {(trigger.family, each) for each in trigger.product_types}


def expanded(table: Any) -> Iterator[Any]:
    """The task tables that one of a file stands for.

    Raises:
        ValueError: what is wrong with its `each`.
    """
    if not isinstance(table, dict) or "each" not in table:
        yield table
        return
    each = table["each"]
    if not isinstance(each, dict) or not all(
        re.fullmatch(r"[a-z][a-z_]{0,20}", str(name)) and isinstance(values, list) and values
        for name, values in each.items()
    ):
        raise ValueError("each is not names with lists of values; write it as {mode: [IW, EW]}")
    if math.prod(map(len, each.values())) > TABLES_LIMIT:
        raise ValueError(f"each makes over {TABLES_LIMIT} task tables; write fewer values")
    rest = {name: value for name, value in table.items() if name != "each"}
    for values in product(*each.values()):
        yield _filled(rest, dict(zip(each, map(str, values), strict=True)))


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case str():
            return PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), value)
        case dict():
            return {key: _filled(each, names) for key, each in value.items()}
        case list():
            return [_filled(each, names) for each in value]
    return value


def _class(timeliness: str) -> Any:
    return timeliness
