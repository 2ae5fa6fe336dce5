"""One run of the processor bench: a session's job again, measured, and compared with what it made."""

from collections.abc import Mapping
from typing import Any

from refsys.infra.bench import gate, history, jobs
from refsys.infra.bench.case import Case
from refsys.infra.bench.registry import Registered
from refsys.infra.bench.results import Results
from refsys.infra.demo.content import Session
from refsys.infra.drmaa import JobInfo
from refsys.infra.drmaa import Session as Jobs
from refsys.infra.errors import UserError
from refsys.services.common.families import BUCKETS, Family
from refsys.services.common.messages import utc_now

RULES = {
    "names": [{"match": r"_[0-9A-F]{4}\.SAFE", "becomes": ".SAFE"}],
    "files": [
        {
            "match": "*/manifest.safe",
            "as": "xml",
            "ignore": ["//safe:processing/@start", "//safe:processing/@stop"],
            "namespaces": {"safe": "http://www.esa.int/safe/sentinel-1.0"},
        }
    ],
}
"""Sentinel-1's manifest tells when the product was made, and its name has the manifest's checksum."""
_OF_ORDER = ("mission", "satellite", "timeliness", "tasks", "totalTimeoutSeconds", "memoryMib", "workdirMib")
_OF_DATA = ("startTime", "stopTime", "parameters", "inputs", "outputs")


def benched(environment: str, session: Jobs, job: JobInfo, source: Session) -> tuple[Results, list[gate.Check]]:
    """Run it once, and judge it; kept beside earlier results of the same session.

    Raises:
        UserError: it failed, or made something else.
    """
    case = case_of(job.document)
    order = job.document["order"]["processor"]
    # Its image is the distribution's, and scanned with all others (./refsys scan images).
    processor = Registered(
        name=order["name"], version=order["version"], image=order["image"], registered=utc_now(), scan={}
    )
    started = utc_now()
    run = jobs.run(session, case, processor, job.document["order"]["cpus"], 1)
    results = Results(
        case=case.name,
        processor=case.processor,
        image=processor.image,
        version=processor.version,
        environment=environment,
        data=jobs.data_of(case),
        repetitions=1,
        outcomes=list(case.outcomes),
        worse=case.worse.model_dump(),
        started=started,
        ended=utc_now(),
        runs=[run],
    )
    folder = history.folder_of(environment)
    checks = gate.judge(results, history.earlier(folder, results))
    if run.outcome not in case.outcomes or run.comparison is None or not run.comparison.equal:
        raise UserError(
            f"the bench of session {source.id} ended as {run.outcome}: {run.reason}",
            fix=f"./refsys job status {run.job}",
        )
    history.save(folder, results)
    return results, checks


def case_of(job: Mapping[str, Any]) -> Case:
    """The case: a job's order with what it made as the reference."""
    order = job["order"]
    size = ((job.get("measures") or {}).get("outputOctets") or 0) // max(len(job["products"]), 1)
    family = Family.L0_SEGMENT
    return Case.model_validate(
        {
            "name": "demo-level0",
            "processor": order["processor"]["name"],
            "order": {name: order[name] for name in (*_OF_ORDER, *_OF_DATA) if order.get(name) is not None},
            "reference": [
                {
                    "name": name,
                    "productType": "L0",
                    "family": family,
                    "bucket": BUCKETS[family],
                    "key": name,
                    "size": size,
                    "folder": True,
                }
                for name in job["products"]
            ],
            "rules": RULES,
            "repetitions": 1,
        }
    )
