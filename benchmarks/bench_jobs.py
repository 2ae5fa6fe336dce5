"""What a job costs beyond its processor's own time, in a running environment: `./refsys bench jobs [ENVIRONMENT]`.

Submits the order of a level-0 job of Sentinel-1 that is done, as the demo leaves one, again and again, one after the
other: the node has the image and the inputs already. From submission to the job's end, by the clock of the
database, less what the tasks took in their container, is what preparation, Kafka, Kubernetes, transfers, checks and the
catalogue cost. The same order's first run, with its inputs still in the object store, is shown beside it.
"""

import statistics
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from refsys.infra.cli import endpoints
from refsys.infra.drmaa import Session
from refsys.infra.errors import UserError

CHAIN = "s1-aiop"
ROUNDS = 10
TARGET_SECONDS = 5.0
OWN = ("jobId", "attempt", "bench", "traceparent")
"""Of an order, what belongs to one job alone."""


def main() -> int:
    """Measure, print a table, and return 0 where the target is met."""
    name = sys.argv[1] if len(sys.argv) > 1 else "local"
    console = Console()
    table = Table("job", "whole, s", "processor, s", "beyond, s")
    beyond = []
    with Session(endpoints.read(name)) as session:
        first = session.job_info(_done(session)).document
        _show(table, "first run", first)
        order = {key: value for key, value in first["order"].items() if key not in OWN}
        with console.status(f"{ROUNDS} jobs, one after the other") as status:
            for number in range(1, ROUNDS + 1):
                status.update(f"job {number} of {ROUNDS}")
                ended = session.wait(session.run_job(order), timeout=300)
                if ended.outcome != "OK":
                    raise UserError(f"job {ended.job_id} ended {ended.outcome}: {ended.reason}", fix="see its logs")
                beyond.append(_show(table, str(number), ended.document))
    console.print(table)
    median, ratio = statistics.median(beyond), statistics.median(beyond) / TARGET_SECONDS
    console.print(
        f"beyond the processor's own time: median {median:.2f} s, slowest {max(beyond):.2f} s; "
        f"{ratio:.2f} of the {TARGET_SECONDS:.0f} s that it may be"
    )
    return 0 if median <= TARGET_SECONDS else 1


def _done(session: Session) -> str:
    """The first job of the chain that is done."""
    jobs = [each for each in session.jobs(size=1000, chain=CHAIN) if each.outcome == "OK"]
    if not jobs:
        raise UserError(f"no job of {CHAIN} is done in the environment", fix="run ./refsys demo first")
    return min(jobs, key=lambda each: str(each.document["created"])).job_id


def _show(table: Table, name: str, job: Mapping[str, Any]) -> float:
    """Add a row of a job; returns its seconds beyond the processor's own."""
    whole = (datetime.fromisoformat(job["changed"]) - datetime.fromisoformat(job["created"])).total_seconds()
    own = sum(task["seconds"] for task in job["measures"]["tasks"].values())
    table.add_row(name, f"{whole:.2f}", f"{own:.2f}", f"{whole - own:.2f}")
    return float(whole - own)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
