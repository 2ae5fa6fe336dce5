"""`./refsys chain` and `./refsys jobs`: what they ask of the operators' API, and what they say of wrong files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refsys.infra.cli import chain, endpoints, jobs
from refsys.infra.errors import UserError
from refsys.services.production.shelf import SHIPPED

ROOT = "/operations/v1/production"
JOB = "00000000-0000-4000-8000-000000000001"


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
        for module in (chain, jobs):
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


def test_jobs_are_listed_restarted_and_cancelled(api: Callable[[Any], Answers]) -> None:
    found = {"id": JOB, "chain": "s1-l1", "taskTable": "IW_L1", "state": "WAITING", "outcome": None}
    session = api([found | {"trigger": "S1A", "reason": "waits for orbit"}])
    run = CliRunner().invoke(jobs.app, ["list", "--state", "waiting"])
    assert "waits for orbit" in run.output
    assert session.asked[0][2]["state"] == "WAITING"
    assert json.loads(CliRunner().invoke(jobs.app, ["list", "--json"]).output)[0]["id"] == JOB
    for action in ("restart", "cancel"):
        assert CliRunner().invoke(jobs.app, [action, JOB]).exit_code == 0
        assert session.asked[-1] == ("POST", f"{ROOT}/jobs/{JOB}/{action}", {})


def test_chains_are_listed_and_removed(api: Callable[[Any], Answers]) -> None:
    entry = {"name": "s1-l1", "mission": "S1", "enabled": True, "origin": "added", "openJobs": 3}
    session = api([entry | {"taskTables": [{"name": "IW_L1"}]}])
    assert "IW_L1" in CliRunner().invoke(chain.app, ["list"]).output
    assert CliRunner().invoke(chain.app, ["remove", "s1-l1"]).exit_code == 0
    assert session.asked[-1] == ("DELETE", f"{ROOT}/chains/s1-l1", None)
