"""A job's runner on a real object store, with the real `run-tasks` and processors that behave and misbehave."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.means.downlink import generate
from tests.means.trace_format import pairs, reports
from tests.services.conftest import CHECKOUT, wait_until

from refsys.services.common.families import BUCKETS, FAILED_WORKDIR_BUCKET
from refsys.services.common.settings import S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.execution import result
from refsys.services.execution.cache import Cache
from refsys.services.execution.result import Result
from refsys.services.execution.runner import JOB_ORDER, Runner
from refsys.services.execution.tasks import CONTROL, EVENTS, PROGRAM, Place, command
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome

pytest_plugins = ("tests.means.logged",)

NAME = "S1A_IW_RAW__0SDV_20171213T121623_20171213T121656_019684_021735_C6DB.SAFE"
INPUT = "S1A_OPER_AUX_RESORB_OPOD_20171213T104452_V20171213T062214_20171213T093944.EOF"
CONTENT = b"orbit" * 1000
GOOD = f"""
import pathlib, sys
from lxml import etree
order = etree.parse(sys.argv[1])
names = dict.fromkeys(order.xpath("//Input/List_of_File_Names/File_Name/text()"))
product = pathlib.Path("{NAME}")
(product / "measurement").mkdir(parents=True)
(product / "measurement" / "a.dat").write_bytes(b"".join(pathlib.Path(name).read_bytes() for name in names))
(product / "manifest.safe").write_text("<manifest/>")
pathlib.Path("job.LIST").write_text("{NAME}\\n")
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run-tasks`, compiled as in the image."""
    target = tmp_path_factory.mktemp("run-tasks") / PROGRAM
    source = CHECKOUT / "platform/images/files/services.c"
    subprocess.run(["gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)
    return target


@pytest.fixture
def place(program: Path, tmp_path: Path) -> Place:
    """The folder that both containers of a pod see."""
    return place_in(tmp_path / "tasks", program)


def place_in(folder: Path, program: Path) -> Place:
    folder.mkdir()
    (folder / PROGRAM).symlink_to(program)
    os.mkfifo(folder / CONTROL)
    os.mkfifo(folder / EVENTS)
    return Place(folder)


def order_of(*scripts: str, **more: Any) -> Order:
    """An order whose tasks are these Python scripts."""
    tasks = [
        {"name": f"step{number}", "command": [sys.executable, "-c", script], "timeoutSeconds": 20}
        for number, script in enumerate(scripts, 1)
    ]
    checksum = {"algorithm": "MD5", "value": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}
    given = {
        "name": INPUT,
        "productType": "AUX_RESORB",
        "family": "AUXILIARY_FILE",
        "bucket": BUCKETS["AUXILIARY_FILE"],
        "key": INPUT,
        "size": len(CONTENT),
        "checksum": checksum,
    }
    output = {"productType": "IW_RAW__0S", "family": "L0_SLICE", "pattern": r"S1[A-D]_IW_RAW__0S.*\.SAFE"}
    values = {
        "jobId": uuid4(),
        "chain": "S1_L0",
        "taskTable": "S1_L0_IW",
        "mission": "S1",
        "satellite": "S1A",
        "processor": {"image": "level0", "name": "level0", "version": "1"},
        "tasks": tasks,
        "inputs": [given],
        "outputs": [output],
        "workdirMib": 8,
    }
    return Order.model_validate(values | more)


@contextmanager
def container(order: Order, place: Place, work: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The processor's container."""
    process = subprocess.Popen(command(order, place, work, work / JOB_ORDER))
    try:
        yield process
    finally:
        assert process.wait(30) in {0, -signal.SIGKILL}


@pytest.fixture
def with_input(store: ObjectStore) -> ObjectStore:
    store.put(BUCKETS["AUXILIARY_FILE"], INPUT, [CONTENT], len(CONTENT))
    return store


def done(order: Order, store: ObjectStore, place: Place, work: Path, cache: Cache | None = None) -> Result:
    with container(order, place, work):
        return Runner(order, store, work, place, cache).run()


def read(store: ObjectStore, path: str) -> bytes:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return b"".join(store.read(bucket, key))


def test_a_job_reads_works_and_stores(with_input: ObjectStore, place: Place, tmp_path: Path) -> None:
    order = order_of("print('hello')", GOOD)
    ended = done(order, with_input, place, tmp_path / "job")
    assert (ended.outcome, ended.reason) == (Outcome.OK, "made 1 product")
    assert ended.exit_codes == {"step1": 0, "step2": 0}
    [product] = ended.products
    assert (product.name, product.size) == (NAME, len(CONTENT) + len("<manifest/>"))
    assert product.storage_path == f"s3://{BUCKETS['L0_SLICE']}/{NAME}/"
    assert read(with_input, f"{product.storage_path}measurement/a.dat") == CONTENT
    assert result.read(with_input, order.job_id, 0) == ended
    # Whoever starts it again finds it done: no processor is needed.
    assert Runner(order, with_input, tmp_path / "again", place).run() == ended
    with subprocess.Popen(command(order, place, tmp_path, tmp_path / JOB_ORDER), stderr=subprocess.DEVNULL) as late:
        assert late.wait(10) == 2  # the container of a job that is over
    assert result.read(with_input, order.job_id, 1) is None


class Counting(ObjectStore):
    """Counts the transfers from the store."""

    transfers = 0

    def read(self, bucket: str, key: str) -> Iterator[bytes]:
        self.transfers += bucket == BUCKETS["AUXILIARY_FILE"]
        return super().read(bucket, key)


def test_an_input_is_transferred_once_a_node(
    s3: S3Settings, with_input: ObjectStore, program: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    counting = Counting(s3)
    for number in range(2):
        order, work = order_of(GOOD.replace("C6DB", f"C6D{number}")), tmp_path / f"job{number}"
        with Cache(tmp_path / "cache", 2**20) as cache:
            ended = done(order, counting, place_in(work.with_suffix(".tasks"), program), work, cache)
        assert ended.outcome is Outcome.OK, ended.reason
        assert (work / INPUT).is_symlink() and (work / INPUT).read_bytes() == CONTENT
        assert counting.transfers == 1
    changed = CONTENT[::-1]
    with_input.put(BUCKETS["AUXILIARY_FILE"], INPUT, [changed], len(changed))
    order, work = order_of(GOOD), tmp_path / "other"
    with Cache(tmp_path / "cache", 2**20) as cache:
        ended = done(order, counting, place_in(tmp_path / "none", program), work, cache)
    assert counting.transfers == 2 and "is damaged: MD5" in ended.reason
    assert len(list((tmp_path / "cache").glob("*/*.EOF"))) == 1


@pytest.mark.parametrize(
    ("script", "changes", "outcome", "reason"),
    [
        ("raise SystemExit(3)", {}, Outcome.NOK, "left no list of its products"),
        (GOOD + "raise SystemExit(3)", {}, Outcome.WARNING, "task step1 ended with exit code 3"),
        (GOOD + "raise SystemExit(200)", {}, Outcome.NOK, "task step1 ended with exit code 200"),
        (GOOD + "import time; time.sleep(60)", {"seconds": 1}, Outcome.TIMEOUT, "did not end within 1 s"),
        ("import time; time.sleep(60)", {"totalTimeoutSeconds": 1}, Outcome.TIMEOUT, "tasks did not end within 1 s"),
        ("import os; os.kill(os.getpid(), 9)", {}, Outcome.NOK, "signal 9, as when there is not enough memory"),
        ("open('job.LIST', 'w').write('\\n')", {}, Outcome.NOK, "made no IW_RAW__0S"),
        ("open('job.LIST', 'wb').write(bytes(range(256)))", {}, Outcome.NOK, "is no text"),
        ("open('job.LIST', 'w').write('garbage')", {}, Outcome.NOK, "lists garbage, which is not there"),
        ("open('x', 'w'); open('job.LIST', 'w').write('x')", {}, Outcome.NOK, "lists x, which is none of its outputs"),
        ("open('job.LIST', 'w').write('../../etc/passwd')", {}, Outcome.NOK, "which is not in its work folder"),
        ("open('job.LIST', 'w').write('/etc/passwd')", {}, Outcome.NOK, "which is not in its work folder"),
        (
            f"import os; os.symlink('/etc', '{NAME}'); open('job.LIST', 'w').write('{NAME}')",
            {},
            Outcome.NOK,
            "leads out by a link",
        ),
        (
            GOOD + f"import os; os.symlink('/etc/passwd', '{NAME}/x')",
            {},
            Outcome.NOK,
            "has x, which is neither file nor folder",
        ),
        (GOOD + "(product / 'b').write_bytes(bytes(9 << 20))", {}, Outcome.NOK, "more than the 8 MiB"),
        (GOOD, {"command": ["/nonexistent"]}, Outcome.NOK, "/nonexistent: No such file or directory"),
        (GOOD, {"key": "else"}, Outcome.NOK, "is not in the object store"),
    ],
)
def test_what_a_processor_may_do_wrong_has_a_name(  # noqa: PLR0917
    with_input: ObjectStore,
    place: Place,
    tmp_path: Path,
    script: str,
    changes: dict[str, Any],
    outcome: Outcome,
    reason: str,
) -> None:
    order = order_of(script)
    task, given = order.tasks[0], order.inputs[0]
    task.timeout_seconds = changes.pop("seconds", task.timeout_seconds)
    task.command = changes.pop("command", task.command)
    given.key = changes.pop("key", given.key)
    order.total_timeout_seconds = changes.pop("totalTimeoutSeconds", order.total_timeout_seconds)
    work = tmp_path / "job"
    ended = done(order, with_input, place, work)  # also where nothing starts, the processor's container ends
    assert ended.outcome is outcome and reason in ended.reason, ended.reason
    if outcome is not Outcome.WARNING:
        assert ended.products == []
        kept = read(with_input, f"s3://{FAILED_WORKDIR_BUCKET}/S1_L0/{order.job_id}-0.tar")
        with tarfile.open(fileobj=io.BytesIO(kept)) as archive:
            assert INPUT not in archive.getnames()
            assert (JOB_ORDER in archive.getnames()) == (given.key == INPUT)


def test_a_container_that_is_killed_is_noticed_and_a_runner_that_is_killed_ends_the_processor(
    with_input: ObjectStore, place: Place, tmp_path: Path
) -> None:
    order, work = order_of("open('here', 'w'); import time; time.sleep(60)"), tmp_path / "job"
    with container(order, place, work) as process:

        def kill() -> None:
            wait_until((work / "here").exists)
            process.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        ended = Runner(order, with_input, work, place).run()
        thread.join()
    assert (ended.outcome, ended.killed) == (Outcome.NOK, True)
    assert "ended from outside" in ended.reason


def test_an_existing_product_is_only_taken_for_the_same(with_input: ObjectStore, program: Path, tmp_path: Path) -> None:
    def again(script: str, attempt: int = 0) -> Result:
        folder = tmp_path / uuid4().hex
        order = order_of(script, attempt=attempt)
        return done(order, with_input, place_in(folder.with_suffix(".tasks"), program), folder)

    first, same = again(GOOD), again(GOOD)
    assert [(p.name, p.storage_path) for p in same.products] == [(p.name, p.storage_path) for p in first.products]
    other = again(GOOD.replace("<manifest/>", "<changed/>."))
    assert other.outcome is Outcome.NOK and "in the object store already, with another content" in other.reason
    # What an attempt that was lost has left is replaced.
    assert again(GOOD.replace("<manifest/>", "<changed/>."), attempt=1).outcome is Outcome.OK


def test_its_lines_have_the_form_of_the_interface(
    with_input: ObjectStore, place: Place, tmp_path: Path, out: io.StringIO
) -> None:
    order = order_of(GOOD)
    order.outputs[0].oqc_check = True
    assert done(order, with_input, place, tmp_path / "job").outcome is Outcome.WARNING
    found = pairs(reports(out.getvalue().splitlines()))
    names = [begin.name for begin, _ in found]
    assert sorted(names) == ["JobProcessing", "OQC", "ObsRead", "ObsWrite", "Processing", "ProcessingTask"]
    by_name = {begin.name: begin for begin, _ in found}
    whole = by_name["JobProcessing"].uid
    assert {by_name[name].child_of_task for name in ("ObsRead", "Processing", "OQC", "ObsWrite")} == {str(whole)}
    assert by_name["ProcessingTask"].child_of_task == str(by_name["Processing"].uid)
    assert by_name["JobProcessing"].follows_from_task == str(order.job_id)


def test_a_downlink_session_becomes_level_0_products(store: ObjectStore, place: Place, tmp_path: Path) -> None:
    session = generate(tmp_path / "session", satellite="S1C", size=1_000_000)
    inputs = []
    for file in sorted((tmp_path / "session").rglob("DCS_*")):
        key = file.relative_to(tmp_path / "session").as_posix()
        content = file.read_bytes()
        store.put(BUCKETS["EDRS_SESSION"], key, [content], len(content))
        kind = "DSIB" if file.suffix == ".xml" else "DSDB"
        given = {"name": file.name, "productType": kind, "family": "EDRS_SESSION", "key": key, "size": len(content)}
        inputs.append({**given, "bucket": BUCKETS["EDRS_SESSION"]})
    output = {"family": "L0_SEGMENT", "mandatory": False, "oqcCheck": True}
    order = order_of(
        inputs=inputs,
        tasks=[{"name": "LEVEL0", "command": [sys.executable, "-m", "refsys.services.processors.level0"]}],
        outputs=[
            output | {"productType": kind, "pattern": rf"S1[A-D]_{kind}.*\.SAFE"}
            for kind in ("IW_RAW__0S", "HK_RAW__0N")
        ],
        satellite="S1C",
        workdirMib=64,
    )
    ended = done(order, store, place, tmp_path / "job")
    assert session and ended.outcome is Outcome.OK, ended.reason
    assert {product.product_type for product in ended.products} == {"IW_RAW__0S", "HK_RAW__0N"}
    assert {product.oqc_flag for product in ended.products} == {"CHECKED_OK"}
    for product in ended.products:
        assert read(store, f"{product.storage_path}manifest.safe").startswith(b"<?xml")
