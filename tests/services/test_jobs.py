"""Jobs on real PostgreSQL: what operators submit, hold, end and restart, what is refused; steps of the execution."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text, update

from refsys.services.common.database import autocommit
from refsys.services.execution import ledger
from refsys.services.execution.tables import CHANNEL, Phase
from refsys.services.execution.usage import Measures, machine
from refsys.services.jobs import reading
from refsys.services.jobs.control import control
from refsys.services.jobs.errors import RefusedError
from refsys.services.jobs.submission import submit
from refsys.services.jobs.triggering import trigger
from refsys.services.production.drmaa import Action, JobState
from refsys.services.production.order import Order
from refsys.services.production.states import Cause, Outcome
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


def shown(engine: Engine, job: UUID) -> dict[str, Any]:
    found = reading.found(engine, job)
    assert found is not None
    return found


def test_a_job_is_submitted_once_held_released_ended_and_begun_anew(engine: Engine) -> None:
    given = order()
    job = given.job_id
    with listening(engine, "production") as told:
        submit(engine, given, "anna")
        assert told() == [""]  # preparation sends it
    with pytest.raises(RefusedError, match="already"):
        submit(engine, given, "anna")
    row = shown(engine, job)
    assert (row["state"], row["generation"], row["reason"]) == ("DISPATCHING", "READY", "is submitted by anna")
    assert Order.model_validate(row["order"]) == given
    assert row["jobState"] is JobState.QUEUED_ACTIVE
    control(engine, job, Action.HOLD, "anna")
    assert shown(engine, job)["jobState"] is JobState.USER_ON_HOLD
    with pytest.raises(RefusedError, match="is held already"):
        control(engine, job, Action.SUSPEND, "anna")
    with pytest.raises(RefusedError, match="is DISPATCHING: terminate it"):
        control(engine, job, Action.RESTART, "anna")
    with listening(engine, CHANNEL) as told:
        assert ledger.taken(engine, job, 0)
        assert told() == [str(job)]
        ledger.place(engine, job, Phase.RUNNING, "runs", "w1")
        assert shown(engine, job)["jobState"] is JobState.USER_SUSPENDED
        control(engine, job, Action.RELEASE, "anna")
        row = shown(engine, job)
        assert (row["jobState"], row["node"], row["detail"]) == (JobState.RUNNING, "w1", "runs")
        assert row["started"]
        control(engine, job, Action.TERMINATE, "bert")
        assert set(told()) == {str(job)}
    row = shown(engine, job)
    assert (row["outcome"], row["reason"], row["jobState"]) == ("CANCELLED", "is cancelled by bert", JobState.FAILED)
    for action in (Action.TERMINATE, Action.HOLD, Action.RESUME):
        with pytest.raises(RefusedError, match="has ended"):
            control(engine, job, action, "bert")
    with listening(engine, "production") as told:
        control(engine, job, Action.RESTART, "bert")
        assert told() == [""]
    row = shown(engine, job)
    assert (row["state"], row["attempt"], row["jobState"]) == ("DISPATCHING", 1, JobState.QUEUED_ACTIVE)
    assert Order.model_validate(row["order"]) == given.model_copy(update={"attempt": 1})
    assert (row["node"], row["started"]) == (None, None)  # of the attempt before
    assert [each["id"] for each in reading.listed(engine, [Job.mission == "S1"], 0, 10)] == [str(job)]
    with pytest.raises(RefusedError, match="there is no job"):
        control(engine, uuid4(), Action.TERMINATE, "anna")


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
        submit(engine, order(**changes), "anna")


def test_steps_of_execution_are_made_once(engine: Engine) -> None:
    given = order()
    submit(engine, given, "anna")
    assert not ledger.taken(engine, uuid4(), 0)
    assert ledger.taken(engine, given.job_id, 1)  # of another attempt: nothing changes
    assert shown(engine, given.job_id)["state"] == "DISPATCHING"
    for _ in range(2):
        assert ledger.taken(engine, given.job_id, 0)
        assert ledger.running(engine) == [given.job_id]
    with ledger.ending(engine, given.job_id, 0) as connection:
        assert connection is not None
        ledger.again(connection, given.job_id, 0, Cause.CLUSTER, "its node was lost")
    with ledger.ending(engine, given.job_id, 0) as connection:
        assert connection is None  # another attempt runs
    with ledger.ending(engine, given.job_id, 1) as connection:
        assert connection is not None
        ledger.keep_result(connection, given.job_id, [], Measures(machine=machine(), comparison={"equal": False}))
        ledger.end(connection, given.job_id, Outcome.WARNING, "x" * 10_000)
    with ledger.ending(engine, given.job_id, 1) as connection:
        assert connection is None
    row = ledger.find(engine, given.job_id)
    assert row and (row["state"], row["generation"], row["attempt"]) == ("TERMINATED", "END", 1)
    assert ledger.running(engine) == []
    told = reading.found(engine, given.job_id)
    assert told and Measures.model_validate(told["measures"]).comparison == {"equal": False}
    [past] = told["past"]
    assert (past["attempt"], past["cause"], past["reason"]) == (0, "CLUSTER", "its node was lost")
    control(engine, given.job_id, Action.RESTART, "anna")
    began = reading.found(engine, given.job_id)
    assert began and [each["cause"] for each in began["past"]] == ["CLUSTER", "OPERATOR"]
    assert began["past"][1]["reason"] == told["reason"]
    with engine.begin() as connection:
        connection.execute(update(Job).values(state="GENERATING"))
        connection.execute(text("DELETE FROM production.job"))
        assert connection.execute(text("SELECT count(*) FROM production.execution")).scalar_one() == 0


def test_how_long_jobs_wait_to_run_is_told_by_mission(engine: Engine) -> None:
    assert ledger.queues(engine) == {}
    waits, runs, held, other = order(), order(), order(), order(mission="S2")
    for each in (waits, runs, held, other):
        submit(engine, each, "anna")
        ledger.taken(engine, each.job_id, 0)
    control(engine, held.job_id, Action.HOLD, "anna")
    with engine.begin() as connection:
        connection.execute(text("UPDATE production.job SET changed = now() - interval '1 hour' WHERE mission = 'S1'"))
    ledger.place(engine, runs.job_id, Phase.RUNNING, "", "w1")
    found = ledger.queues(engine)
    assert {mission: running for mission, (running, _) in found.items()} == {"S1": 1, "S2": 0}
    assert found["S1"][1] >= 3600
    assert found["S2"][1] < 60
    with ledger.ending(engine, waits.job_id, 0) as connection:
        assert connection is not None
        ledger.end(connection, waits.job_id, Outcome.OK, "")
    assert ledger.queues(engine)["S1"] == (1, 0)


def test_a_chain_s_job_for_a_product_that_is_not_there_is_refused(engine: Engine) -> None:
    for chain, table, reason in (
        ("none", "S1_AIOP", "there is no task table S1_AIOP in chain none; chains are "),
        ("s1-aiop", "NONE", "its task tables are S1_AIOP"),
        ("s1-aiop", "S1_AIOP", "product X is not in the catalogue"),
    ):
        with pytest.raises(RefusedError, match=reason):
            trigger(engine, chain, table, "X", "anna")
