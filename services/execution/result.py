"""How a job's pod ended, told by the runner in the object store: the pod has no other way to the outside."""

from uuid import UUID

from pydantic import Field

from refsys.services.common.families import JOBS_BUCKET
from refsys.services.common.messages import Checksum, Model, Timestamp
from refsys.services.common.store import ObjectStore
from refsys.services.execution.patience import patiently
from refsys.services.execution.usage import Measures
from refsys.services.production.states import Outcome

NOT_CHECKED, CHECKED_OK, CHECKED_NOK = "NOT_CHECKED", "CHECKED_OK", "CHECKED_NOK"


class Product(Model):
    """An output that lies in the object store; `checksums` are of a single file."""

    name: str
    product_type: str
    family: str
    storage_path: str
    size: int
    checksums: list[Checksum] = Field(default_factory=list)
    oqc_flag: str = NOT_CHECKED
    stored: Timestamp


class Result(Model):
    """The end of a job. `killed`: its container ended from outside, and the cluster may know why."""

    job_id: UUID
    attempt: int
    outcome: Outcome
    reason: str
    exit_codes: dict[str, int] = Field(default_factory=dict)
    products: list[Product] = Field(default_factory=list)
    killed: bool = False
    measures: Measures | None = None
    started: Timestamp
    ended: Timestamp


def key_of(job: UUID, attempt: int) -> str:
    """Where the result of an attempt lies in its bucket."""
    return f"{job}/{attempt}.json"


def write(store: ObjectStore, result: Result) -> None:
    """Keep a result: after this the job has ended, whatever happens to its pod."""
    text = result.model_dump_json(by_alias=True).encode()
    patiently(lambda: store.put(JOBS_BUCKET, key_of(result.job_id, result.attempt), [text], len(text)))


def read(store: ObjectStore, job: UUID, attempt: int) -> Result | None:
    """Return the result of an attempt, None if there is none."""
    try:
        return Result.model_validate_json(b"".join(store.read(JOBS_BUCKET, key_of(job, attempt))))
    except FileNotFoundError:
        return None
