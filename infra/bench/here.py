"""Runs of a case on this machine, as whoever calls: for one's own processor, as in its CI.

Tasks are run and measured by the program that does it in a job's pod, but for the pod's walls around them.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import structlog

from refsys.infra import paths, shell
from refsys.infra.bench.case import Case, Here
from refsys.infra.bench.results import Run, run_of
from refsys.infra.errors import UserError
from refsys.services.execution import benching, outputs
from refsys.services.execution.errors import JobError
from refsys.services.execution.tasks import PROGRAM, Place, command, started
from refsys.services.execution.usage import Measures, machine
from refsys.services.production.order import Order, job_order_xml
from refsys.services.production.states import Outcome

SOURCE = paths.CHECKOUT / "platform/images/files/services.c"
END_SECONDS = 60


def run(case: Case, place: Here, cores: float, repetition: int, keep: Path | None) -> Run:
    """Run it once in a folder of its own; what it made is moved to `keep`, a folder, if that is given."""
    order = case.order_of(case.processor, "", cores)
    measures = Measures(machine=machine())
    with tempfile.TemporaryDirectory(prefix="refsys-bench-") as folder, _quietly():
        try:
            outcome, reason = _do(order, place, Path(folder), measures, keep)
        except JobError as error:
            outcome, reason = error.outcome, str(error)
        if outcome not in case.outcomes:
            reason += f"; it said: {_last_words(Path(folder))}"
    # The control group is that of this session, not of the processor.
    tasks = {name: used.model_copy(update={"memory_octets": 0}) for name, used in measures.tasks.items()}
    measures = measures.model_copy(update={"tasks": tasks})
    return run_of(cores, repetition, {"outcome": outcome, "reason": reason}, measures)


def data_of(case: Case, place: Here) -> str:
    """A digest of the inputs.

    Raises:
        UserError: one is not there.
    """
    digest = hashlib.sha256()
    for given in case.order_of(case.processor, "", 1).inputs:
        path = place.data / given.name
        if not path.exists():
            raise UserError(f"input {given.name} is not in {place.data}", fix="put it there, or correct the case")
        digest.update(f"{given.name}\0{outputs.size_of(path)}\0".encode())
    return digest.hexdigest()


def _do(order: Order, place: Here, folder: Path, measures: Measures, keep: Path | None) -> tuple[Outcome, str]:
    work, tasks = folder / "job", Place(folder / "tasks")
    work.mkdir()
    for given in order.inputs:
        (work / given.name).symlink_to((place.data / given.name).resolve())
        measures.input_octets += outputs.size_of(work / given.name)
    (work / "JobOrder.xml").write_bytes(job_order_xml(order))
    tasks.folder.mkdir()
    (tasks.folder / PROGRAM).symlink_to(_program())
    os.mkfifo(tasks.control)
    os.mkfifo(tasks.events)
    with _container(order, tasks, work, folder), started(order, tasks) as running:
        try:
            running.run(str(uuid4()))
        finally:
            measures.tasks |= running.usage
        codes = running.codes
    made = outputs.found(order, work)
    if lacking := outputs.missing(order, made):
        raise JobError(f"the processor made no {', '.join(output.product_type for output in lacking)}")
    measures.output_octets = sum(each.size for each in made)
    if place.reference:
        rules = order.bench.rules if order.bench else {}
        measures.comparison = benching.compare(benching.files_of(made), place.reference, rules)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        for each in made:
            shutil.move(each.path, keep / each.name)
    bad = [f"task {name} ended with exit code {code}" for name, code in codes.items() if code]
    return (Outcome.WARNING, "; ".join(bad)) if bad else (Outcome.OK, f"made {len(made)} products")


@contextmanager
def _container(order: Order, tasks: Place, work: Path, folder: Path) -> Iterator[None]:
    """What is the processor's container elsewhere: its cores alone, a log, and an end."""
    words = command(order, tasks, work, work / "JobOrder.xml")
    with (folder / "log").open("wb") as log, _cores(order.cpus):
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    except BaseException:
        process.terminate()
        raise
    finally:
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _cores(count: float) -> Iterator[None]:
    """What is started meanwhile may use so many of the cores that this process has."""
    known = os.sched_getaffinity(0)
    if count != int(count) or not 1 <= count <= len(known):
        raise UserError(
            f"{count:g} cores can't be given: this machine has {len(known)}", fix="ask for a whole number of them"
        )
    os.sched_setaffinity(0, sorted(known)[: int(count)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, known)


def _program() -> Path:
    """`run-tasks`, compiled once."""
    text = SOURCE.read_bytes()
    folder = paths.cache() / "bench"
    target = folder / f"{PROGRAM}-{hashlib.sha256(text).hexdigest()[:16]}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{target.name}.{os.getpid()}"
        shell.run("gcc", "-static", "-Os", "-Wall", "-Wextra", "-o", partial, SOURCE)
        partial.rename(target)
    return target


@contextmanager
def _quietly() -> Iterator[None]:
    """What a pod's logs get has no reader here."""
    before = structlog.get_config()
    structlog.configure(processors=[_nothing], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _nothing(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


def _last_words(folder: Path) -> str:
    log = folder / "log"
    return log.read_text(encoding="utf-8", errors="replace").strip()[-300:] if log.exists() else "nothing"
