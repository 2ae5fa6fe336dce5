"""The stack's state under the real engine: renames, copies, imports, locks, engines that were killed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.plugin.api_server import Cluster
from tests.plugin.small import Small, small  # noqa: F401 - a fixture

from refsys.infra import backups
from refsys.infra.cli import locks
from refsys.infra.errors import UserError
from refsys.infra.plan.changes import Action

PAIR = 'Pair("{name}", "red", pulumi.ResourceOptions(aliases=[{aliases}]))\n'
SLOW = 'Thing("slow", "slow", "red", seconds="{seconds}")\nThing("quick", "quick", "red")\n'
NOT_BY_HAND = (locks.COMMAND, "PULUMI_SKIP_CHECKPOINTS")


def numbers(small: Small) -> set[str]:  # noqa: F811
    """What each thing got when it was made."""
    found = [each.get("outputs") or {} for each in json.loads(small.exported())["deployment"]["resources"]]
    return {outputs["number"] for outputs in found if "number" in outputs}


def test_a_renamed_component_keeps_its_children(small: Small) -> None:  # noqa: F811
    stack = small.stack(PAIR.format(name="old", aliases=""))
    stack.up()
    before = numbers(small)
    lost = small.stack(PAIR.format(name="new", aliases="")).preview()
    assert {change.action for change in lost.changes} == {Action.CREATE, Action.DELETE}
    stack = small.stack(PAIR.format(name="new", aliases='pulumi.Alias(name="old")'))
    assert stack.preview().changes == ()
    stack.up()
    assert len(before) == 2
    assert numbers(small) == before
    assert stack.preview().changes == ()
    stack.destroy()


def test_a_copy_of_the_state_comes_back_also_after_the_stack_is_gone(small: Small) -> None:  # noqa: F811
    word = "correct-horse"
    first = f'Thing("a", "here", "red", word=pulumi.Output.secret("{word}"))\nThing("b", "there", "red")\n'
    stack = small.stack(first)
    stack.up()
    kept = stack.backup("hand")
    assert kept
    assert word not in kept.read()
    assert stack.backup("hand") is None
    small.stack('Thing("b", "there", "blue")\n').up()
    stack = small.stack(first)
    assert {change.resource.name for change in stack.preview().changes} == {"a", "b"}
    stack.restore(kept.read())
    plan = stack.preview()
    assert {change.resource.name: change.drift for change in plan.drifted} == {
        "a": "it does not exist any more",
        "b": "somebody painted it blue",
    }
    stack.up()
    stack.destroy()
    assert [each.reason for each in backups.of("t-small")] == ["hand"]
    stack = small.stack(first)
    stack.restore(kept.read())
    assert {change.action for change in stack.preview().changes} == {Action.CREATE}
    stack.up()
    assert (small.things / "here").read_text() == "red"
    stack.destroy()


def begun(small: Small, program: str, **variables: str) -> subprocess.Popen[bytes]:  # noqa: F811
    """An engine that was started by hand and is making the slow thing."""
    small.stack(program)
    command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "t-small", "--non-interactive"]
    engine = subprocess.Popen(
        command,
        cwd=small.project,
        env={name: os.environ[name] for name in os.environ if name not in NOT_BY_HAND} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not (small.things / "begun").exists():
        assert time.monotonic() < until
        assert engine.poll() is None
        time.sleep(0.05)
    return engine


def test_a_killed_engine_leaves_a_state_that_the_next_up_completes(small: Small) -> None:  # noqa: F811
    engine = begun(small, SLOW.format(seconds=30))
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()
    assert json.loads(small.exported())["deployment"]["pending_operations"]
    stack = small.stack(SLOW.format(seconds=0))
    assert stack.prepare("up") == []
    assert not json.loads(small.exported())["deployment"].get("pending_operations")
    stack.up()
    assert {file.name for file in small.things.iterdir()} >= {"slow", "quick"}
    assert not json.loads(small.exported())["deployment"].get("pending_operations")
    assert stack.preview().changes == ()
    stack.destroy()
    assert {file.name for file in small.things.iterdir()} == {"begun"}


def test_a_state_that_somebody_works_on_is_left_alone_and_a_dead_commands_engine_is_ended(
    small: Small,  # noqa: F811
) -> None:
    program = SLOW.format(seconds=6)
    engine = begun(small, program)
    stack = small.stack(program)
    with pytest.raises(UserError) as refused:
        stack.up()
    assert f"process {engine.pid}, since 20" in str(refused.value)
    assert "./refsys state unlock t-small" in str(refused.value)
    assert engine.wait(60) == 0
    stack.destroy()
    (small.things / "begun").unlink()

    command = subprocess.Popen(["true"])
    command.wait()
    engine = begun(small, program, **{locks.COMMAND: str(command.pid)})
    stack = small.stack(program)
    stack.up()
    assert engine.wait(10) is not None
    assert stack.preview().changes == ()
    stack.destroy()


def test_a_resource_that_others_made_is_imported(
    small: Small,  # noqa: F811
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig)
    provider = f"""
import pulumi_kubernetes as k8s
provider = k8s.Provider("cluster", kubeconfig=open({str(kubeconfig)!r}).read())
"""
    declared = """
part = pulumi.ComponentResource("test:things:Part", "part")
opts = pulumi.ResourceOptions(provider=provider, parent=part)
k8s.core.v1.ConfigMap("settings", metadata={"name": "adopted", "namespace": "default"}, data={"a": "1"}, opts=opts)
Thing("a", "here", "red")
"""
    path = "/api/v1/namespaces/default/configmaps"
    made = cluster.request("POST", path, {"metadata": {"name": "adopted"}, "data": {"a": "1"}})
    small.stack(provider).up()
    stack = small.stack(provider + declared)
    kind = "kubernetes:core/v1:ConfigMap"
    with pytest.raises(UserError, match=rf"{kind} settings"):
        stack.importable().of(kind, "something", "default/adopted")
    stack.adopt(stack.importable().of(kind, "settings", "default/adopted"))
    assert {change.resource.name for change in stack.preview().changes} == {"a"}
    stack.up()
    assert cluster.get(f"{path}/adopted")["metadata"]["uid"] == made["metadata"]["uid"]
    stack.destroy()
    assert cluster.get(f"{path}/adopted") is None
