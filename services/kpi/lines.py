"""REPORT lines out of the records of the nodes' collectors."""

import json
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from refsys.services.execution.places import RUNNERS
from refsys.services.logs.records import whole

MARK = rb"\"REPORT\""  # as it stands in the text of a record
NUL = b"u0000"  # no text of PostgreSQL has that character
NAME_LIMIT = 512  # an index takes no longer ones
NAMESPACE = "processing"
"""Only what the chain's own pods write is believed, and of a job's pod its runner."""

Fields = dict[str, Any]


class UnreadableError(Exception):
    """A record that says it is a REPORT line, and is none."""


class Header(BaseModel):
    """The header of a line."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["REPORT"]
    timestamp: AwareDatetime
    mission: str = Field(max_length=8)
    rs_chain_name: str = Field(max_length=64)
    rs_chain_version: str = Field(max_length=32)
    workflow: str = Field(max_length=32)


class Missing(BaseModel):
    """What a task should have made and did not."""

    product_metadata_custom_object: Fields
    end_to_end_product_boolean: bool
    estimated_count_integer: int = Field(ge=0, lt=2**31)


class Traced(BaseModel):
    """The task that a line is of."""

    model_config = ConfigDict(extra="ignore")

    uid: UUID
    name: str = Field(max_length=64)
    event: Literal["BEGIN", "END"]
    satellite: str = Field(max_length=32)
    follows_from_task: str = Field(default="", max_length=64)
    input: Fields
    output: Fields = Field(default_factory=dict)
    status: Literal["OK", "NOK", "TIMEOUT"] | None = None
    error_code: int | None = Field(default=None, ge=-(2**31), lt=2**31)
    duration_in_seconds: float | None = None
    data_volume_mebibytes: float | None = None
    missing_output: list[Missing] = Field(default_factory=list)


class Line(BaseModel):
    """A REPORT line."""

    model_config = ConfigDict(extra="ignore")

    header: Header
    task: Traced

    @property
    def ok(self) -> bool:
        """Whether it tells of a task that ended well."""
        return self.task.status == "OK"

    def text(self, name: str) -> str | None:
        """A text of the output, or of the input."""
        found = self.task.output.get(f"{name}_string") or self.task.input.get(f"{name}_string")
        return found if isinstance(found, str) and len(found) <= NAME_LIMIT else None

    def identifier(self, name: str) -> UUID | None:
        """An identifier of the output."""
        try:
            return UUID(self.text(name) or "")
        except ValueError:
            return None

    def names(self, side: Literal["input", "output"]) -> list[str]:
        """The list of files of one side, without those that only one file has."""
        found = getattr(self.task, side).get("filename_strings")
        names = found if isinstance(found, list) else []
        return [name for name in names if isinstance(name, str) and len(name) <= NAME_LIMIT]

    def date(self, name: str) -> datetime | None:
        """A time of the output."""
        try:
            found = datetime.fromisoformat(self.task.output[f"{name}_date"])
        except (KeyError, TypeError, ValueError):
            return None
        return found if found.tzinfo else None


def read(value: bytes) -> Line | None:
    """The REPORT line of a record; None for any other record.

    Raises:
        UnreadableError: it is not of the form of the trace interface.
    """
    if MARK not in value:  # most records: not worth parsing
        return None
    if NUL in value:
        raise UnreadableError("it has a NUL character")
    try:
        record = json.loads(value)
        if not isinstance(record, dict) or not _is_believed(record):
            return None
        line = json.loads(whole(record), parse_constant=_refused)
        if not isinstance(line, dict) or line.get("header", {}).get("type") != "REPORT":
            return None
        json.dumps(line, ensure_ascii=False).encode()  # fails for half a character
        return Line.model_validate(line)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ValidationError):
            problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise UnreadableError(problems) from None
        raise UnreadableError(f"{type(error).__name__}: {error}"[:300]) from None


def _is_believed(record: Fields) -> bool:
    namespace = record.get("namespace")
    return namespace == NAMESPACE or (namespace in RUNNERS and record.get("container") == RUNNERS[namespace])


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")
