"""`run-tasks` as the runner has it work: tasks in their order, ended in time, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.services.execution.test_jobs import order

from refsys.infra import paths
from refsys.services.execution.errors import JobError
from refsys.services.execution.tasks import CONTROL, EVENTS, PROGRAM, Place, command, over, started
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("run-tasks") / PROGRAM
    source = paths.CHECKOUT / "platform/images/files/services.c"
    subprocess.run(["gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)
    return target


@pytest.fixture
def place(program: Path, tmp_path: Path) -> Place:
    (tmp_path / PROGRAM).symlink_to(program)
    os.mkfifo(tmp_path / CONTROL)
    os.mkfifo(tmp_path / EVENTS)
    return Place(tmp_path)


def of(*scripts: str, seconds: int = 20) -> Order:
    tasks = [
        {"name": f"t{number}", "command": ["/bin/sh", "-c", script], "timeoutSeconds": seconds}
        for number, script in enumerate(scripts, 1)
    ]
    return order(tasks=tasks)


@contextmanager
def container(given: Order, place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    words = command(given, place, place.folder, place.folder / "JobOrder.xml")
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        yield process
        process.wait(20)


def run(given: Order, place: Place) -> dict[str, int]:
    with container(given, place), started(given, place) as tasks:
        tasks.run("parent")
        return tasks.codes


def test_tasks_run_one_after_the_other_until_one_fails(place: Place) -> None:
    given = of('echo "$0" >seen; exit 3', "test -s seen", "exit 200", "touch never")
    with pytest.raises(JobError, match="task t3 ended with exit code 200"):
        run(given, place)
    assert (place.folder / "seen").read_text().strip() == str(place.folder / "JobOrder.xml")
    assert not (place.folder / "never").exists()


def test_what_tasks_use_is_told_one_by_one(place: Place) -> None:
    work = "import pathlib, time; end = time.process_time() + {s}\nwhile time.process_time() < end: pass\n"
    first = of("")
    first.tasks[0].command = [
        sys.executable,
        "-c",
        work.format(s=0.2) + "data = b'x' * 50_000_000; pathlib.Path('out').write_bytes(data)",
    ]
    second = of(f"( {sys.executable} -c '{work.format(s=0.1)}' && head -c 1000000 out >/dev/null )")
    second.tasks[0].name = "t2"
    first.tasks += second.tasks
    with container(first, place), started(first, place) as tasks:
        tasks.run("parent")
    one, two = tasks.usage["t1"], tasks.usage["t2"]
    assert 0.2 <= one.user_seconds + one.system_seconds <= one.seconds + 0.05
    assert one.largest_process_octets >= 50_000_000 > two.largest_process_octets
    assert 50_000_000 <= one.written_octets < 51_000_000
    assert two.user_seconds + two.system_seconds >= 0.1, "of a process of a process"
    assert two.read_octets >= 1_000_000 and 1_000_000 <= two.written_octets < 1_100_000


def test_a_task_that_goes_on_after_its_time_is_killed_with_all_it_began(place: Place) -> None:
    given = of("", seconds=1)
    given.tasks[0].command = [
        sys.executable,
        "-c",
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '300']);"
        "open('child', 'w').write(str(child.pid)); time.sleep(300)",
    ]
    with pytest.raises(JobError, match="did not end within 1 s") as raised:
        run(given, place)
    assert raised.value.outcome is Outcome.TIMEOUT
    child = int((place.folder / "child").read_text())
    end = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_a_task_leaves_running_ends_with_it(place: Place) -> None:
    run(of("sleep 300 & echo $! >child"), place)
    child = int((place.folder / "child").read_text())
    end = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_runner_s_end_is_the_processor_s_end(place: Place) -> None:
    given = of("touch begun; sleep 300")
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), container(given, place), started(given, place):
        while not (place.folder / "begun").exists():
            time.sleep(0.02)
        raise KeyboardInterrupt  # as when its pod is ended
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("late", [False, True])
def test_a_container_whose_job_is_over_does_not_wait(place: Place, late: bool) -> None:
    given = of("touch never")
    if late:
        over(place)
    with container(given, place) as process:
        if not late:
            time.sleep(0.2)
            over(place)
        assert process.wait(5) == (2 if late else 0)
    over(place)  # once more
    assert not (place.folder / "never").exists()


def test_a_container_that_is_killed_is_noticed(place: Place) -> None:
    given = of("touch begun; sleep 2")
    with container(given, place) as process, started(given, place) as tasks:
        while not (place.folder / "begun").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        with pytest.raises(JobError, match="ended from outside") as raised:
            tasks.run("parent")
    assert raised.value.killed
