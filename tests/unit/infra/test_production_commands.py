"""`./refsys chain` and `./refsys job`: what they ask of the operators' API, and what they say of wrong files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refsys.infra import drmaa
from refsys.infra.cli import chain, endpoints, job
from refsys.infra.errors import UserError
from refsys.services.production.shelf import SHIPPED

ROOT = "/operations/v1/production"
JOB = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
FOUND = {
    "id": JOB,
    "jobState": "queued_active",
    "chain": "s1-l1",
    "taskTable": "IW_L1",
    "trigger": "S1A",
    "state": "WAITING",
    "outcome": None,
    "reason": "waits for orbit [AUX_POEORB]",
    "attempt": 0,
    "changed": "2026-11-01T12:00:00.000000Z",
    "node": "w1",
    "detail": "runs",
}


class Answers:
    """A session that answers with what is given, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._answer = answer

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, path: str, **query: object) -> Any:
        self.asked.append(("GET", path, query))
        return self._answer

    def post(self, path: str, document: Any) -> Any:
        self.asked.append(("POST", path, document))
        return self._answer

    def delete(self, path: str) -> None:
        self.asked.append(("DELETE", path, None))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Answers]:
    def answering(answer: Any) -> Answers:
        session = Answers(answer)
        monkeypatch.setattr(endpoints, "read", lambda name: {"environment": name})
        for module in (chain, drmaa):
            monkeypatch.setattr(module, "Operators", lambda _: session)
        return session

    return answering


def test_a_chain_is_checked_and_added(api: Callable[[Any], Answers]) -> None:
    session = api({})
    file = SHIPPED / "s1-l1.yaml"
    run = CliRunner().invoke(chain.app, ["add", str(file), "ops"])
    assert run.exit_code == 0, run.output
    assert "chain s1-l1 is there and makes no jobs: it is not enabled" in run.output
    assert session.asked == [("POST", f"{ROOT}/chains", {"document": file.read_text()})]
    assert "is right: S2_L2" in CliRunner().invoke(chain.app, ["check", str(SHIPPED / "s2-l2.yaml")]).output


def test_a_wrong_chain_is_not_sent(api: Callable[[Any], Answers], tmp_path: Path) -> None:
    session = api({})
    file = tmp_path / "wrong.yaml"
    file.write_text((SHIPPED / "s2-l2.yaml").read_text().replace("S2_L2A_DS", "S2_L2X_DS"))
    run = CliRunner().invoke(chain.app, ["add", str(file)])
    assert isinstance(run.exception, UserError)
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "S2_L2X_DS" in text)
    assert f"line {line}, task_tables.0.outputs.0.family: 'S2_L2X_DS' is not known" in str(run.exception)
    assert "fix: write S2_L2A_DS" in str(run.exception)
    assert session.asked == []


def test_jobs_are_listed_with_what_they_wait_for(api: Callable[[Any], Answers]) -> None:
    session = api([FOUND])
    run = CliRunner().invoke(job.app, ["list", "--state", "waiting", "--outcome", "nok", "--chain", "s1-l1"])
    assert run.exit_code == 0, run.output
    assert "waits for orbit [AUX_POEORB]" in run.output
    asked = {"state": "WAITING", "outcome": "NOK", "chain": "s1-l1", "mission": None, "size": 50}
    assert session.asked == [("GET", f"{ROOT}/jobs", asked)]
    assert json.loads(CliRunner().invoke(job.app, ["list", "--json"]).output) == [FOUND]


def test_many_jobs_are_controlled_at_once(api: Callable[[Any], Answers]) -> None:
    session = api({"results": [{"id": JOB, "done": True}, {"id": OTHER, "done": False, "reason": "has ended"}]})
    run = CliRunner().invoke(job.app, ["control", "terminate", JOB, OTHER, "ops"])
    assert (run.exit_code, run.output) == (1, f"job {JOB}: terminate is done\nhas ended\n")
    assert session.asked == [("POST", f"{ROOT}/jobs/control", {"ids": [JOB, OTHER], "action": "terminate"})]
    for wrong in (["ops"], ["some-job", "ops"], [JOB, "some-job", "ops"]):
        assert isinstance(CliRunner().invoke(job.app, ["control", "restart", *wrong]).exception, UserError)
    assert len(session.asked) == 1


def test_a_job_is_submitted_and_followed_to_its_end(api: Callable[[Any], Answers], tmp_path: Path) -> None:
    session = api(FOUND | {"jobState": "done", "state": "TERMINATED", "outcome": "WARNING", "reason": "is done"})
    file = tmp_path / "order.yaml"
    file.write_text("chain: by-hand\nstartTime: 2026-11-01T12:00:00+00:00\n")
    run = CliRunner().invoke(job.app, ["submit", str(file), "--wait"])
    assert (run.exit_code, run.output) == (0, f"{JOB}\n{JOB}  done WARNING, attempt 0 on w1\n  is done\n")
    order = {"chain": "by-hand", "startTime": "2026-11-01T12:00:00+00:00"}
    assert session.asked == [("POST", f"{ROOT}/jobs", {"order": order}), ("GET", f"{ROOT}/jobs/{JOB}", {})]
    assert CliRunner().invoke(job.app, ["trigger", "s1-l1/IW_L1", "a product"]).output == f"{JOB}\n"
    assert session.asked[-1][2] == {"chain": "s1-l1", "taskTable": "IW_L1", "product": "a product"}


def test_a_program_waits_for_many_jobs(api: Callable[[Any], Answers], monkeypatch: pytest.MonkeyPatch) -> None:
    api(FOUND | {"jobState": "failed", "outcome": "NOK"})
    with drmaa.Session({}) as batch:
        assert [info.outcome for info in batch.synchronize([JOB, OTHER], timeout=1)] == ["NOK", "NOK"]
    api(FOUND)
    monkeypatch.setattr(drmaa, "POLL_SECONDS", 0.0)
    with drmaa.Session({}) as batch, pytest.raises(drmaa.ExitTimeoutError):
        batch.synchronize([JOB], timeout=0.01)


def test_chains_are_listed_and_removed(api: Callable[[Any], Answers]) -> None:
    entry = {"name": "s1-l1", "mission": "S1", "enabled": True, "origin": "added", "openJobs": 3}
    session = api([entry | {"taskTables": [{"name": "IW_L1"}]}])
    assert "IW_L1" in CliRunner().invoke(chain.app, ["list"]).output
    assert CliRunner().invoke(chain.app, ["remove", "s1-l1"]).exit_code == 0
    assert session.asked[-1] == ("DELETE", f"{ROOT}/chains/s1-l1", None)
