"""A job of the bench: held to its cores, compared in its pod, nothing of it stored."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.means.memory_store import MemoryObjects

from refsys.infra import paths
from refsys.services.common.families import FAILED_WORKDIR_BUCKET, JOBS_BUCKET
from refsys.services.execution import manifests
from refsys.services.execution.places import MISSIONS
from refsys.services.execution.runner import JOB_ORDER, Runner
from refsys.services.execution.tasks import CONTROL, EVENTS, PROGRAM, Place, command
from refsys.services.jobs.errors import RefusedError
from refsys.services.jobs.submission import _check
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome

SCRIPT = """
import pathlib
assert not list(pathlib.Path("..").glob("reference*"))
pathlib.Path("../reference").symlink_to("/etc")
pathlib.Path("P_1.SAFE").mkdir()
pathlib.Path("P_1.SAFE/a.dat").write_bytes(pathlib.Path("in.bin").read_bytes())
pathlib.Path("x.LIST").write_text("P_1.SAFE")
"""
NAMES = {"names": [{"match": r"_\d\.SAFE", "becomes": ".SAFE"}]}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("run-tasks") / PROGRAM
    source = paths.CHECKOUT / "platform/images/files/services.c"
    subprocess.run(["gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)
    return target


@pytest.fixture
def place(program: Path, tmp_path: Path) -> Place:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / PROGRAM).symlink_to(program)
    os.mkfifo(folder / CONTROL)
    os.mkfifo(folder / EVENTS)
    return Place(folder)


@pytest.fixture
def store(tmp_path: Path) -> MemoryObjects:
    (tmp_path / "keys").mkdir()
    store = MemoryObjects(tmp_path / "keys")
    store.put("rs-s1-aux", "in.bin", [b"12345"], 5)
    store.put("rs-s1-l0-slices", "P_9.SAFE/a.dat", [b"12345"], 5)
    return store


def order(**more: Any) -> Order:
    reference = {"name": "P_9.SAFE", "productType": "P", "family": "L0_SLICE", "bucket": "rs-s1-l0-slices"}
    given = {"name": "in.bin", "productType": "I", "family": "AUXILIARY_FILE", "bucket": "rs-s1-aux", "key": "in.bin"}
    values = {
        "jobId": uuid4(),
        "chain": "bench",
        "taskTable": "small",
        "mission": "S1",
        "satellite": "S1A",
        "processor": {"image": "level0", "name": "level0", "version": "1"},
        "tasks": [{"name": "one", "command": [sys.executable, "-c", SCRIPT], "timeoutSeconds": 20}],
        "cpus": 2,
        "inputs": [given | {"size": 5}],
        "outputs": [{"productType": "P", "family": "L0_SLICE", "pattern": ".*SAFE"}],
        "bench": {"reference": [reference | {"key": "P_9.SAFE", "size": 3 * 2**20, "folder": True}], "rules": NAMES},
    }
    return Order.model_validate(values | more)


@contextmanager
def container(given: Order, place: Place, work: Path) -> Iterator[None]:
    process = subprocess.Popen(command(given, place, work, work / JOB_ORDER))
    try:
        yield
    finally:
        process.wait(20)


def done(given: Order, store: MemoryObjects, place: Place, tmp_path: Path) -> Any:
    work = tmp_path / "work" / "job"
    with container(given, place, work):
        return Runner(given, store, work, place).run()


def test_outputs_are_compared_and_not_stored(store: MemoryObjects, place: Place, tmp_path: Path) -> None:
    given = order()
    ended = done(given, store, place, tmp_path)
    assert (ended.outcome, ended.reason, ended.products) == (Outcome.OK, "made 1 product", [])
    assert ended.measures.comparison["equal"] is True
    assert (ended.measures.input_octets, ended.measures.output_octets) == (5, 5)
    assert ended.measures.tasks["one"].seconds > 0
    assert store.keys("rs-s1-l0-slices") == ["P_9.SAFE/a.dat"]
    assert store.keys(JOBS_BUCKET) == [f"{given.job_id}/0.json"]
    assert store.keys(FAILED_WORKDIR_BUCKET) == []


def test_what_differs_is_told_and_kept(store: MemoryObjects, place: Place, tmp_path: Path) -> None:
    store.put("rs-s1-l0-slices", "P_9.SAFE/a.dat", [b"12x45"], 5)
    given = order()
    ended = done(given, store, place, tmp_path)
    assert ended.outcome is Outcome.OK, "the processor did what it does"
    [different] = ended.measures.comparison["different"]
    assert (different["name"], different["reason"]) == ("P_1.SAFE/a.dat", "octet 2 is the first that differs")
    assert store.keys(FAILED_WORKDIR_BUCKET) == [f"bench/{given.job_id}-0.tar"]


@pytest.mark.parametrize(
    ("bench", "told"),
    [
        ({"rules": {"files": [{"match": "*", "as": "guess"}]}}, "can't be compared with the reference: rules: files.0"),
        ({"gone": True}, "input P_9.SAFE is not in the object store"),
    ],
)
def test_a_comparison_that_can_t_be_made_ends_the_job(
    store: MemoryObjects, place: Place, tmp_path: Path, bench: dict[str, Any], told: str
) -> None:
    given = order()
    assert given.bench
    if bench.pop("gone", False):
        given.bench.reference[0].key = "gone"
    given = given.model_copy(update={"bench": given.bench.model_copy(update=bench)})
    ended = done(given, store, place, tmp_path)
    assert ended.outcome is Outcome.NOK and told in ended.reason


def test_a_run_is_held_to_its_cores_and_has_room_for_the_reference() -> None:
    template = {"spec": {"containers": [{"name": "runner", "volumeMounts": []}], "volumes": [{"name": "work"}]}}
    spec = manifests.job(order(workdirMib=10), template, {"level0": "r@sha256:1"})["spec"]["template"]["spec"]
    processor = spec["containers"][1]["resources"]
    assert processor["requests"]["cpu"] == processor["limits"]["cpu"] == "2"
    assert spec["volumes"][0]["emptyDir"] == {"sizeLimit": "14Mi"}
    plain = manifests.job(order(bench=None), template, {"level0": "r@sha256:1"})["spec"]["template"]["spec"]
    assert "cpu" not in plain["containers"][1]["resources"]["limits"]


def test_a_reference_is_read_only_where_products_are() -> None:
    wrong = order()
    assert wrong.bench and wrong.mission in MISSIONS
    wrong.bench.reference[0].bucket = "rs-backups"
    with pytest.raises(RefusedError, match=r"input P_9\.SAFE is in bucket rs-backups, where no products are"):
        _check(wrong)
    _check(order())
