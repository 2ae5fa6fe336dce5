"""The commands around changes: what they print, and how they end."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refsys.infra import backups
from refsys.infra.cli import policy, preview
from refsys.infra.cli.app import app
from refsys.infra.environment import Environment
from refsys.infra.plan.changes import Action, Change, Plan, Resource

NODE = "pulumi-python:dynamic/local:Node"
INPUTS = {"cpus": 2, "memory_mib": 1024}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    return tmp_path


def node(name: str = "w1") -> Resource:
    return Resource(f"urn:pulumi:x::refsys::{NODE}::{name}", NODE, INPUTS)


def lay_out(monkeypatch: pytest.MonkeyPatch, plan: Plan, **config: Any) -> None:
    """An environment whose preview is known."""
    monkeypatch.setattr(Environment, "load", lambda name: Environment.parse(name, config))
    for module in (preview, policy):
        monkeypatch.setattr(module, "look", lambda _: plan)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


MORE = Plan((Change(Action.CREATE, node("w2")),), (node(),), (node(), node("w2")))
SAME = Plan((), (node(),), (node(),))


def test_a_preview_ends_with_3_where_no_change_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(monkeypatch, MORE, prices={"vcpu_hour": 0.1, "memory_gib_hour": 0})
    code, output = run("preview", "x", "--expect-no-changes")
    assert code == preview.CHANGES == 3
    assert "+ create   Node w2" in output
    assert "146.00 → 292.00 EUR" in output
    assert run("preview", "x")[0] == 0
    code, output = run("preview", "x", "--json")
    document = json.loads(output)
    assert (code, document["environment"], document["counts"]["create"]) == (0, "x", 1)
    assert document["cost"]["after_eur"] == 292.0
    lay_out(monkeypatch, SAME)
    code, output = run("preview", "x", "--expect-no-changes")
    assert (code, "nothing changes" in output) == (0, True)


def test_a_policy_that_is_broken_ends_with_1_and_tells_rule_reason_and_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(monkeypatch, MORE, limits={"nodes": 1})
    code, output = run("policy", "x")
    assert code == 1
    for part in ("limits.nodes 2 nodes, 1 are allowed", "rule too-many-nodes", "fix: make fewer"):
        assert part in output
    (violation,) = json.loads(run("policy", "x", "--json")[1])["violations"]
    assert (violation["rule"], violation["refused"]) == ("too-many-nodes", True)
    waiver = {"rule": "too-many-nodes", "resource": "limits.*", "reason": "for a day, agreed"}
    lay_out(monkeypatch, MORE, limits={"nodes": 1}, policies={"waivers": [waiver]})
    code, output = run("policy", "x")
    assert (code, "reason: for a day, agreed" in output) == (0, True)


def test_copies_of_the_state_are_listed() -> None:
    assert "no backups" in run("state", "list", "x")[1]
    state = {"version": 3, "deployment": {"resources": [{"urn": "a", "type": "refsys:Password"}]}}
    made = backups.keep("x", json.dumps(state), "up")
    assert made
    assert made.name in run("state", "list", "x")[1].replace("\n", "")
    (listed,) = json.loads(run("state", "list", "x", "--json")[1])
    assert (listed["name"], listed["before"]) == (made.name, "up")
