"""Production jobs in the manner of DRMAA (GFD.22): submit, ask, wait, control; over the operators' API.

    with Session(endpoints) as session:
        job = session.run_job(order)
        info = session.wait(job, timeout=3600)

An order is a mapping with the fields of docs/execution.md.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from refsys.infra.errors import UserError
from refsys.infra.operators import AwayError, Endpoints, Operators
from refsys.services.production.drmaa import Action, JobState

ROOT = "/operations/v1/production/jobs"
POLL_SECONDS = 2.0
AWAY_SECONDS = 300.0
"""How long a wait goes on while nothing answers."""


class ExitTimeoutError(UserError):
    """A job did not end in time."""


@dataclass(frozen=True)
class JobInfo:
    """A job as it is now; `outcome` of one that ended: OK, WARNING, NOK, TIMEOUT, CANCELLED."""

    job_id: str
    state: JobState
    outcome: str | None
    reason: str
    attempt: int
    node: str
    document: Mapping[str, Any]
    """All that the operators' API tells."""


class Session:
    """A session with the jobs of one environment."""

    def __init__(self, endpoints: Endpoints) -> None:
        """`endpoints` is what `up` wrote down of the environment."""
        self._operators = Operators(endpoints)

    def __enter__(self) -> Self:
        """Begin."""
        self._operators.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; jobs go on."""
        self._operators.__exit__(kind, error, trace)

    def run_job(self, order: Mapping[str, Any]) -> str:
        """Submit an order; returns the job's id."""
        return str(self._operators.post(ROOT, {"order": dict(order)})["id"])

    def trigger(self, chain: str, task_table: str, product: str) -> str:
        """Have the job of a task table made for a catalogued product; returns the job's id."""
        asked = {"chain": chain, "taskTable": task_table, "product": product}
        return str(self._operators.post(ROOT, asked)["id"])

    def job_status(self, job: str) -> JobState:
        """Where a job is."""
        return self.job_info(job).state

    def job_info(self, job: str) -> JobInfo:
        """What is known of a job."""
        return _info(self._operators.get(f"{ROOT}/{job}"))

    def control(self, jobs: Iterable[str], action: Action) -> dict[str, str]:
        """Suspend, resume, hold, release, terminate or restart jobs; returns why of those it can't be done with."""
        asked = {"ids": list(jobs), "action": action}
        results = self._operators.post(f"{ROOT}/control", asked)["results"]
        return {each["id"]: each["reason"] for each in results if not each["done"]}

    def wait(self, job: str, timeout: float | None = None) -> JobInfo:
        """Wait until a job has ended; without `timeout`, in seconds, as long as it takes.

        Raises:
            ExitTimeoutError: it did not end in time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        away = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                info = self.job_info(job)
                away = time.monotonic() + AWAY_SECONDS
                if info.state.ended:
                    return info
            except AwayError:
                if time.monotonic() > away:
                    raise
            if end is not None and time.monotonic() >= end:
                raise ExitTimeoutError(f"job {job} has not ended after {timeout:g} s", fix="wait longer: --timeout")
            time.sleep(POLL_SECONDS)

    def synchronize(self, jobs: Iterable[str], timeout: float | None = None) -> list[JobInfo]:
        """Wait until all of these have ended."""
        end = None if timeout is None else time.monotonic() + timeout
        return [self.wait(job, None if end is None else max(0.0, end - time.monotonic())) for job in jobs]

    def jobs(self, *, size: int = 100, **asked: str | None) -> list[JobInfo]:
        """The jobs that changed last; `asked` are conditions of the operators' API, as `state` or `mission`."""
        return [_info(each) for each in self._operators.get(ROOT, size=size, **asked)]


def _info(document: Mapping[str, Any]) -> JobInfo:
    return JobInfo(
        document["id"],
        JobState(document["jobState"]),
        document["outcome"],
        document["reason"],
        document["attempt"],
        document.get("node") or "",
        document,
    )
