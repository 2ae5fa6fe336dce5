"""The runner of a production job, in the job's pod beside the processor's container.

It brings the inputs in, writes the JobOrder, has the tasks run, looks at what they left, and stores it. How that ended
is an object in the store, written last: a pod that was lost before has not ended the job, and another one may.
"""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

from refsys.services.common import logs
from refsys.services.common.messages import utc_now
from refsys.services.common.settings import RunnerSettings, S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.execution import benching, outputs, result, workdir
from refsys.services.execution.cache import Cache
from refsys.services.execution.errors import JobError
from refsys.services.execution.inputs import Inputs
from refsys.services.execution.result import CHECKED_NOK, Product, Result
from refsys.services.execution.tasks import Place, Tasks, over, started
from refsys.services.execution.usage import Measures, machine
from refsys.services.production.order import Input, Order, Output, job_order_xml
from refsys.services.production.states import Outcome

JOB_ORDER = "JobOrder.xml"
LISTED = 60
CHECKS_AT_ONCE = 2
"""Names in a REPORT line: it must not be cut."""

log = logs.get_logger()


class StoppedError(Exception):
    """The pod is being ended: its job isn't over, and is done elsewhere."""


@dataclass
class Runner:
    """Does one order in `work`, a folder of its own."""

    order: Order
    store: ObjectStore
    work: Path
    place: Place
    cache: Cache | None = None

    def run(self) -> Result:
        """Do it, and keep the result; what fails in the object store is raised, and no result kept."""
        try:
            return self._run()
        finally:
            over(self.place)

    def _run(self) -> Result:
        order, begun = self.order, utc_now()
        known = result.read(self.store, order.job_id, order.attempt)
        if known:
            log.info("the job has ended already", job=str(order.job_id), outcome=known.outcome)
            return known
        with logs.task(
            "JobProcessing",
            chain=order.chain,
            mission=order.mission,
            satellite=order.satellite,
            # Attempts of a job have it in common: what one did not make, another may have made.
            follows=str(order.job_id),
            job=str(order.job_id),
            attempt=order.attempt,
            filenames=[given.name for given in order.inputs][:LISTED],
        ) as report:
            ended = self._ended(report, begun)
            report.output = {
                "outcome": ended.outcome,
                "reason": ended.reason[:500],
                "filenames": [product.name for product in ended.products][:LISTED],
                "t0_pdgs": order.t0_pdgs_date,
            }
            result.write(self.store, ended)
        tell = log.error if ended.outcome in {Outcome.NOK, Outcome.TIMEOUT} else log.info
        tell("job ended", job=str(order.job_id), outcome=ended.outcome, reason=ended.reason)
        return ended

    def _ended(self, report: logs.Task, begun: datetime) -> Result:
        codes: dict[str, int] = {}
        measures = Measures(machine=machine())
        try:
            products, outcome, reason = self._do(report.uid, codes, measures)
            killed = False
        except JobError as error:
            products, outcome, reason, killed = [], error.outcome, str(error), error.killed
            report.status = "TIMEOUT" if outcome is Outcome.TIMEOUT else "NOK"
            report.error_code = next((code for code in reversed(codes.values()) if code), 1)
            if not self.order.bench:  # nobody waits for what that makes
                report.missing = [self._missing(output) for output in self.order.outputs if output.mandatory]
            log.warning("work folder is kept", job=str(self.order.job_id), place=self._kept())
        report.size_bytes = sum(product.size for product in products)
        return Result(
            job_id=self.order.job_id,
            attempt=self.order.attempt,
            outcome=outcome,
            reason=reason,
            exit_codes=codes,
            products=products,
            killed=killed,
            measures=measures,
            started=begun,
            ended=utc_now(),
        )

    def _do(self, parent: str, codes: dict[str, int], measures: Measures) -> tuple[list[Product], Outcome, str]:
        self.work.mkdir(parents=True, exist_ok=True)
        there = self._read(parent)
        measures.input_octets = sum(outputs.size_of(self.work / given.name) for given in there)
        path = self.work / JOB_ORDER
        path.write_bytes(job_order_xml(self.order.model_copy(update={"inputs": there})))
        with started(self.order, self.place) as tasks:
            try:
                self._process(tasks, parent)
            finally:
                codes.update(tasks.codes)
                measures.tasks |= tasks.usage
        made = outputs.found(self.order, self.work)
        measures.output_octets = sum(each.size for each in made)
        if lacking := outputs.missing(self.order, made):
            raise JobError(f"the processor made no {', '.join(output.product_type for output in lacking)}")
        if self.order.bench:
            return [], *self._compared(made, codes, measures)
        products = self._write(made, parent)
        bad = [each.name for each in products if each.oqc_flag == CHECKED_NOK]
        return products, *_good(codes, len(products), bad)

    def _compared(self, made: list[outputs.Made], codes: dict[str, int], measures: Measures) -> tuple[Outcome, str]:
        """What a bench run made is looked at, and not stored; the work folder is kept where it isn't as expected."""
        outcome, reason = _good(codes, len(made), [])
        comparison = benching.compared(self.order, made, self.work, self.store)
        if comparison is None:
            return outcome, f"{reason}; there is no reference"
        measures.comparison = comparison
        if not comparison["equal"]:
            log.warning("outputs differ; work folder is kept", job=str(self.order.job_id), place=self._kept())
        return outcome, reason

    def _read(self, parent: str) -> list[Input]:
        inputs = Inputs(self.store, self.work, self.cache)
        with self._part("ObsRead", parent, [given.name for given in self.order.inputs]) as report:
            there = inputs.fetch(self.order)
            report.size_bytes = inputs.read
        return there

    def _process(self, tasks: Tasks, parent: str) -> None:
        with self._part("Processing", parent, []) as report:
            try:
                tasks.run(report.uid)
            except JobError as error:
                report.status = "TIMEOUT" if error.outcome is Outcome.TIMEOUT else "NOK"
                raise

    def _write(self, made: list[outputs.Made], parent: str) -> list[Product]:
        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            told = pool.map(lambda each: outputs.checked(self.order, each, parent), made)
            flags = {each.name: flag for each, flag in zip(made, told, strict=True)}
        keeping = outputs.Outputs(self.store, self.order)
        with self._part("ObsWrite", parent, [each.name for each in made]) as report:
            products = [keeping.keep(each, flags[each.name]) for each in made]
            report.size_bytes = keeping.written
        return products

    def _part(self, name: str, parent: str, names: list[str]) -> AbstractContextManager[logs.Task]:
        order = self.order
        return logs.task(
            name,
            chain=order.chain,
            mission=order.mission,
            satellite=order.satellite,
            child_of=parent,
            job=str(order.job_id),
            filenames=names[:LISTED],
        )

    def _missing(self, output: Output) -> logs.Missing:
        told = {"product_type_string": output.product_type, "family_string": output.family}
        return logs.Missing(told, end_to_end=output.end_to_end)

    def _kept(self) -> str:
        return workdir.keep(self.store, self.order, self.work) if self.work.is_dir() else ""


def _good(codes: dict[str, int], made: int, bad: list[str]) -> tuple[Outcome, str]:
    """Return the outcome of a job that made what it should, and why it is no better."""
    warnings = [f"task {name} ended with exit code {code}" for name, code in codes.items() if code]
    warnings += [f"{name} failed the quality control" for name in bad]
    if warnings:
        return Outcome.WARNING, "; ".join(warnings)[:2000]
    return Outcome.OK, f"made {made} product{'s' if made != 1 else ''}"


def _stop(number: int, _frame: FrameType | None) -> None:
    raise StoppedError(f"signal {number}")


def main() -> None:
    """Do the order of the settings."""
    settings = load(RunnerSettings)
    store = ObjectStore(load(S3Settings))
    logs.configure("job-runner")
    order = Order.model_validate_json(settings.order_file.read_bytes())
    signal.signal(signal.SIGTERM, _stop)
    place = Place(settings.tasks_folder)
    folder, limit = settings.cache_folder, settings.cache_mebibytes * 2**20
    try:
        with Cache(folder, limit) if folder else nullcontext() as cache:
            Runner(order, store, settings.work_folder, place, cache).run()
    except StoppedError:
        log.warning("the pod is being ended before the job", job=str(order.job_id))
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
