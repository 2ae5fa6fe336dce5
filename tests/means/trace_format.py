"""The trace interface (reference-system.md §2.5) as a strict model: what it does not name is refused."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

NAMES = (
    "IngestionTrigger", "IngestionWorker", "MetadataExtraction", "CompressionProcessing", "UncompressionProcessing",
    "PripWorker", "PripTempDownloadUrl", "PripTempQuicklookUrl", "DataLifecycleWorker", "DlqManagement",
    "JobGenerator", "JobProcessing", "Processing", "ProcessingTask", "ProductionTrigger", "TaskTableLookup",
    "SegmentTimeliness", "SeaCoverageCheck", "L0EWSliceMaskCheck", "OQC", "GhostHandling", "RfiMitigation",
    "ObsRead", "ObsWrite",
)  # fmt: skip
LINE_BYTES = 512 * 1024  # collectors cut longer ones
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "long": (int,),
    "integer": (int,),
    "double": (int, float),
    "date": (str,),
    "boolean": (bool,),
    "object": (dict,),
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        stem, _, suffix = name.rpartition("_")
        several = suffix.endswith("s") and suffix.removesuffix("s") in TYPES
        kind = suffix.removesuffix("s") if several else suffix
        if not stem or kind not in TYPES:
            raise ValueError(f"{name} does not tell its type")
        for each in value if several else [value]:
            if not isinstance(each, TYPES[kind]) or isinstance(each, bool) != (kind == "boolean"):
                raise ValueError(f"{name} has {each!r}")
            if kind == "date" and not MOMENT.fullmatch(str(each)):
                raise ValueError(f"{name} has {each!r}")
    return fields


def _moment(text: str) -> str:
    if not MOMENT.fullmatch(text):
        raise ValueError(f"{text!r} has no microseconds or is not UTC")
    datetime.fromisoformat(text)
    return text


Typed = Annotated[dict[str, Any], AfterValidator(_typed)]
Moment = Annotated[str, AfterValidator(_moment)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Header(_Strict):
    """Of every line."""

    type: Literal["REPORT"]
    timestamp: Moment
    level: Literal["INFO", "WARNING", "ERROR"]
    mission: str
    rs_chain_name: str = Field(min_length=1)
    rs_chain_version: str = Field(pattern=r"^\d+\.\d+\.\d+")
    workflow: Literal["NOMINAL", "EXTERNAL_DEMAND", "EXTERNAL_CUSTOM_DEMAND", "OPERATOR_DEMAND"]
    debug_mode: bool
    tag_list: list[str]


class Message(_Strict):
    """The text for people."""

    content: str = Field(min_length=1, max_length=250_000)


class _Task(_Strict):
    uid: UUID = Field(strict=False)
    name: Literal[NAMES]  # type: ignore[valid-type]
    satellite: str
    input: Typed


class Begin(_Task):
    """A task begins."""

    event: Literal["BEGIN"]
    child_of_task: str = ""
    follows_from_task: str = ""


class Missing(_Strict):
    """What was not made."""

    product_metadata_custom_object: dict[str, Any]
    end_to_end_product_boolean: bool
    estimated_count_integer: int = Field(ge=0)


class End(_Task):
    """A task ends."""

    event: Literal["END"]
    status: Literal["OK", "NOK", "TIMEOUT"]
    error_code: int
    duration_in_seconds: float = Field(ge=0)
    data_rate_mebibytes_sec: float = Field(ge=0)
    data_volume_mebibytes: float = Field(ge=0)
    output: Typed
    quality: Typed
    missing_output: list[Missing]


class Line(_Strict):
    """A line of a trace."""

    header: Header
    message: Message
    task: Annotated[Begin | End, Field(discriminator="event")]
    custom: Typed = {}


_LINE = TypeAdapter(Line)


def reports(texts: Iterable[str]) -> list[Line]:
    """The REPORT lines among a process's lines, each held against the model."""
    found = []
    for text in texts:
        if json.loads(text)["header"]["type"] == "REPORT":
            assert len(text.encode()) < LINE_BYTES, text[:200]
            found.append(_LINE.validate_json(text))
    return found


def pairs(lines: Iterable[Line]) -> list[tuple[Begin, End]]:
    """Every begin with its end, by the time of the ends; fails where one is alone, or where they don't fit."""
    begun: dict[UUID, Line] = {}
    found: list[tuple[Begin, End]] = []
    for line in lines:
        task = line.task
        if isinstance(task, Begin):
            assert task.uid not in begun, f"{task.name} begins twice"
            begun[task.uid] = line
            continue
        first = begun.pop(task.uid)
        assert isinstance(first.task, Begin)
        assert (first.task.name, first.task.satellite) == (task.name, task.satellite)
        assert first.task.input == task.input
        assert {**first.header.model_dump(), "timestamp": "", "level": ""} == {
            **line.header.model_dump(),
            "timestamp": "",
            "level": "",
        }
        assert (task.status == "OK") == (task.error_code == 0) == (line.header.level == "INFO")
        found.append((first.task, task))
    assert not begun, f"without an end: {[line.task.name for line in begun.values()]}"
    return found
