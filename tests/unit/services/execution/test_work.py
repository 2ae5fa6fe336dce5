"""Jobs that wait to be looked at: once, not by two, and again when something happened meanwhile."""

import threading
import time
from uuid import uuid4

from refsys.services.execution.work import Work


def test_a_job_is_taken_once_and_comes_again_if_something_happened_meanwhile() -> None:
    work, job, other = Work(), uuid4(), uuid4()
    for _ in range(3):
        work.add(job)
    assert work.take(0) == job
    assert work.take(0) is None
    work.add(job)
    work.add(other)
    assert work.take(0) == other  # the first one is in somebody's hands
    assert work.take(0.01) is None
    work.done(job)
    assert work.take(0) == job
    work.done(job)
    assert work.take(0) is None


def test_what_is_due_later_comes_later_and_what_is_asked_for_sooner_sooner() -> None:
    work, job = Work(), uuid4()
    work.add(job, 60)
    assert work.take(0.01) is None
    work.add(job, 0.05)
    began = time.monotonic()
    assert work.take(5) == job
    assert time.monotonic() - began < 2
    work.done(job)
    assert work.take(0.01) is None


def test_many_threads_never_have_the_same_job() -> None:
    work, jobs, busy, seen = Work(), [uuid4() for _ in range(20)], set(), []

    def run() -> None:
        while (job := work.take(0.2)) is not None:
            assert job not in busy
            busy.add(job)
            time.sleep(0.001)
            busy.discard(job)
            seen.append(job)
            work.done(job)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for _ in range(5):
        for job in jobs:
            work.add(job)
    for thread in threads:
        thread.start()
    for job in jobs:
        work.add(job)
    for thread in threads:
        thread.join()
    assert set(seen) == set(jobs)
