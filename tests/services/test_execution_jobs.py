"""Operators' side of jobs on real PostgreSQL: what they submit, hold, end, and what is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text, update

from refsys.services.common.database import autocommit
from refsys.services.execution import api, ledger, submission
from refsys.services.execution.api import JobState, state_of
from refsys.services.execution.submission import RefusedError, UnknownError, Wanted
from refsys.services.execution.tables import CHANNEL, Phase
from refsys.services.execution.triggering import trigger
from refsys.services.execution.usage import Measures, machine
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome
from refsys.services.production.tables import Job


def order(**more: Any) -> Order:
    values = {
        "jobId": uuid4(),
        "chain": "by-hand",
        "taskTable": "L0",
        "mission": "S1",
        "satellite": "S1A",
        "processor": {"image": "level0", "name": "level0"},
        "tasks": [{"name": "L0", "command": ["level0"]}],
        "outputs": [{"productType": "IW_RAW__0S", "family": "L0_SLICE", "pattern": ".*"}],
    }
    return Order.model_validate(values | more)


@contextmanager
def listening(engine: Engine, channel: str) -> Iterator[Callable[[], list[str]]]:
    with autocommit(engine) as connection:
        driver: Any = connection.connection.driver_connection
        connection.exec_driver_sql(f"LISTEN {channel}")
        try:
            yield lambda: [said.payload for said in driver.notifies(timeout=0.5)]
        finally:
            connection.invalidate()


def state(engine: Engine, job: UUID) -> JobState:
    return state_of({str(name): value for name, value in submission.find(engine, job).items()})


def test_a_job_is_submitted_once_held_released_and_ended(engine: Engine) -> None:
    given = order()
    with listening(engine, "production") as told:
        submission.submit(engine, given, "anna")
        assert told() == [""]  # preparation sends it
    with pytest.raises(RefusedError, match="already"):
        submission.submit(engine, given, "anna")
    row = submission.find(engine, given.job_id)
    assert (row["state"], row["generation"], row["reason"]) == ("DISPATCHING", "READY", "submitted by anna")
    assert Order.model_validate(row["order"]) == given
    assert state(engine, given.job_id) is JobState.QUEUED_ACTIVE
    submission.hold(engine, given.job_id, held=True)
    assert state(engine, given.job_id) is JobState.USER_ON_HOLD
    with pytest.raises(RefusedError, match="is held already"):
        submission.hold(engine, given.job_id, held=True)
    with listening(engine, CHANNEL) as told:
        assert ledger.taken(engine, given.job_id, 0)
        assert told() == [str(given.job_id)]
        ledger.place(engine, given.job_id, Phase.RUNNING, "", "w1")
        assert state(engine, given.job_id) is JobState.USER_SUSPENDED
        submission.hold(engine, given.job_id, held=False)
        assert state(engine, given.job_id) is JobState.RUNNING
        submission.end(engine, given.job_id, "bert")
        assert set(told()) == {str(given.job_id)}
    row = submission.find(engine, given.job_id)
    assert (row["outcome"], row["reason"], state(engine, given.job_id)) == ("CANCELLED", "ended by bert", "failed")
    for action in (submission.end, lambda *given: submission.hold(given[0], given[1], held=True)):
        with pytest.raises(RefusedError, match="has ended"):
            action(engine, given.job_id, "bert")
    assert [each["id"] for each in submission.search(engine, Wanted(["TERMINATED"], "S1"), 0, 10)] == [given.job_id]
    assert submission.search(engine, Wanted(chain="another"), 0, 10) == []
    with pytest.raises(UnknownError):
        submission.find(engine, uuid4())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mission": "S9"}, "mission 'S9' is none of"),
        ({"outputs": [{"productType": "X", "family": "NONE", "pattern": ".*"}]}, "unknown family NONE"),
        (
            {
                "inputs": [
                    {"name": "x", "productType": "X", "family": "X", "bucket": "rs-backups", "key": "x", "size": 1}
                ]
            },
            "where no products are",
        ),
    ],
)
def test_orders_that_can_t_be_done_are_refused(engine: Engine, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        submission.submit(engine, order(**changes), "anna")


def test_steps_of_execution_are_made_once(engine: Engine) -> None:
    given = order()
    submission.submit(engine, given, "anna")
    assert not ledger.taken(engine, uuid4(), 0)
    assert ledger.taken(engine, given.job_id, 1)  # of another attempt: nothing changes
    assert submission.find(engine, given.job_id)["state"] == "DISPATCHING"
    for _ in range(2):
        assert ledger.taken(engine, given.job_id, 0)
        assert ledger.running(engine) == [given.job_id]
    with ledger.ending(engine, given.job_id, 0) as connection:
        assert connection is not None
        ledger.again(connection, given.job_id, 0, "its node was lost")
    with ledger.ending(engine, given.job_id, 0) as connection:
        assert connection is None  # another attempt runs
    with ledger.ending(engine, given.job_id, 1) as connection:
        assert connection is not None
        ledger.measured(connection, given.job_id, Measures(machine=machine(), comparison={"equal": False}))
        ledger.end(connection, given.job_id, Outcome.WARNING, "x" * 10_000)
    with ledger.ending(engine, given.job_id, 1) as connection:
        assert connection is None
    row = ledger.find(engine, given.job_id)
    assert row and (row["state"], row["generation"], row["attempt"]) == ("TERMINATED", "END", 1)
    assert ledger.running(engine) == []
    told = api._document(submission.find(engine, given.job_id))["measures"]
    assert Measures.model_validate(told).comparison == {"equal": False}
    with engine.begin() as connection:
        connection.execute(update(Job).values(state="GENERATING"))
        connection.execute(text("DELETE FROM production.job"))
        assert connection.execute(text("SELECT count(*) FROM production.execution")).scalar_one() == 0


def test_a_chain_s_job_for_a_product_that_is_not_there_is_refused(engine: Engine) -> None:
    for chain, table, reason in (
        ("none", "S1_AIOP", "there is no task table S1_AIOP in chain none; chains are "),
        ("s1-aiop", "NONE", "its task tables are S1_AIOP"),
        ("s1-aiop", "S1_AIOP", "product X is not in the catalogue"),
    ):
        with pytest.raises(RefusedError, match=reason):
            trigger(engine, chain, table, "X", "anna")
