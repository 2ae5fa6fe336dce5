"""Runs of a case as jobs of an environment, as production runs them."""

import hashlib
import json

from pydantic import ValidationError

from refsys.infra.bench.case import Case
from refsys.infra.bench.registry import Registered
from refsys.infra.bench.results import Run, run_of
from refsys.infra.drmaa import JobInfo, Session
from refsys.infra.errors import UserError
from refsys.services.execution.usage import Measures
from refsys.services.production.drmaa import Action

WAIT_SECONDS = 24 * 3600.0


def run(session: Session, case: Case, processor: Registered, cores: float, repetition: int) -> Run:
    """Run it once; a job that is not waited for any more is ended."""
    order = case.order_of(processor.image, processor.version, cores)
    job = session.run_job(order.model_dump(mode="json", by_alias=True))
    try:
        info = session.wait(job, WAIT_SECONDS)
    except BaseException:
        session.control([job], Action.TERMINATE)
        raise
    told = {"outcome": info.outcome, "reason": info.reason, "job": info.job_id, "node": info.node}
    return run_of(cores, repetition, told, _measures(info))


def data_of(case: Case) -> str:
    """A digest of what the inputs are."""
    inputs = case.order_of("image", "", 1).inputs
    facts = [(each.bucket, each.key, each.size) for each in inputs]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _measures(info: JobInfo) -> Measures | None:
    found = info.document.get("measures")
    if found is None:
        if info.state.ended and info.outcome in {"OK", "WARNING"}:
            raise UserError(
                f"job {info.job_id} tells nothing of what it used", fix="update the environment: ./refsys up"
            )
        return None
    try:
        return Measures.model_validate(found)
    except ValidationError as error:
        raise UserError(
            f"job {info.job_id} tells something else of what it used: {error}",
            fix="update the environment: ./refsys up",
        ) from None
