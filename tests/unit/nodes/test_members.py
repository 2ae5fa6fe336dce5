"""What is asked of the cluster's nodes, and how refusals are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from refsys.infra import paths, shell
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.health.api_server import SilentError
from refsys.infra.nodes import listing, members
from refsys.infra.nodes.members import Members

POD = {
    "metadata": {"namespace": "n", "name": "alone", "labels": {}},
    "spec": {"nodeName": "w2"},
    "status": {"phase": "Running"},
}


class Server:
    """An API server with a node w2 and a pod on it."""

    lists: dict[str, Any]
    silent = False

    def __init__(self, _: Path) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    def text(self, path: str) -> str:
        if self.silent:
            raise SilentError("https://api doesn't answer: refused")
        return json.dumps({"items": self.lists[path.partition("?")[0]]})


def _node(**more: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": more.pop("ready", "True"), "message": "kubelet is posting"}]
    metadata = {"name": "w2", "uid": "2", "creationTimestamp": "2026-11-22T12:00:00Z"}
    status = {"conditions": conditions, "addresses": [{"type": "InternalIP", "address": "192.0.2.2"}]}
    return {"metadata": metadata, "spec": more, "status": status}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """The words of kubectl's command lines; draining fails."""
    found: list[tuple[str, ...]] = []

    def run(program: Path, kubeconfig: str, *words: str) -> str:
        found.append(words)
        if words[0] == "drain":
            raise shell.CommandError("`kubectl drain` ended with 1: timed out")
        return ""

    (tmp_path / "environments" / "t").mkdir(parents=True)
    (tmp_path / "environments" / "t" / "kubeconfig").write_text("{}")
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    monkeypatch.setattr(members, "ApiServer", Server)
    monkeypatch.setattr(shell, "run", run)
    monkeypatch.setattr(members, "tool_bin", lambda _: paths.CHECKOUT)
    monkeypatch.setattr(members, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(Server, "silent", False)
    lists = {"/api/v1/nodes": [_node()], "/api/v1/pods": [POD], "/api/v1/persistentvolumes": []}
    monkeypatch.setattr(Server, "lists", lists | {"/apis/policy/v1/poddisruptionbudgets": []}, raising=False)
    return found


def test_a_node_that_is_not_emptied_in_time_is_told_with_its_pods(asked: list[tuple[str, ...]]) -> None:
    with Members("t") as cluster, pytest.raises(UserError) as error:
        cluster.drain("w2", 7)
    assert "w2 could not be emptied within 7 s" in str(error.value)
    assert "n/alone belongs to nothing that would start it elsewhere" in str(error.value)
    assert "kubectl -n n delete pod alone" in error.value.fix
    assert asked == [("drain", "w2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=7s")]


def test_what_kubectl_says_is_told_where_no_pod_is_left(asked: list[tuple[str, ...]]) -> None:
    Server.lists["/api/v1/pods"] = []
    with Members("t") as cluster, pytest.raises(UserError, match="timed out"):
        cluster.drain("w2", 7)


def test_a_cluster_that_does_not_answer_is_told_with_the_next_step(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "silent", True)
    with Members("t") as cluster, pytest.raises(UserError, match="can't be asked: https://api doesn't answer") as error:
        cluster.nodes()
    assert "./refsys status t" in error.value.fix


def test_an_environment_that_is_not_up_has_no_members(asked: list[tuple[str, ...]]) -> None:
    with pytest.raises(UserError, match="environment x is not up"):
        Members("x")


@pytest.mark.parametrize(
    ("node", "older", "why"),
    [
        (None, None, "it has not joined the cluster"),
        (_node(), "2", "it has not joined the cluster"),
        (_node(ready="Unknown"), None, "kubelet is posting"),
        (_node(unschedulable=True), None, "it is cordoned"),
    ],
)
def test_a_node_that_does_not_come_back_is_told_with_what_it_lacks(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, node: Any, older: str | None, why: str
) -> None:
    monkeypatch.setattr(members, "READY_SECONDS", 0.0)
    Server.lists["/api/v1/nodes"] = [node] if node else []
    with Members("t") as cluster, pytest.raises(UserError, match=f"w2 is not back after 0.0 s: {why}"):
        cluster.wait_until_ready("w2", older, lambda _: None)


def test_a_node_that_is_back_is_not_waited_for(asked: list[tuple[str, ...]]) -> None:
    with Members("t") as cluster:
        cluster.wait_until_ready("w2", "1", lambda _: None)


def test_nodes_are_listed_with_those_that_are_missing_and_those_of_nobody(asked: list[tuple[str, ...]]) -> None:
    jobs = {"metadata": {"namespace": "production-s1", "name": "j"}, "spec": {}, "status": {"phase": "Running"}}
    Server.lists["/api/v1/pods"] = [POD, jobs, POD | {"status": {"phase": "Succeeded"}}]
    found = {row.name: row for row in listing.rows(Environment.parse("t", {}))}
    assert (found["cp1"].state, found["w1"].state) == ("not in the cluster", "not in the cluster")
    assert found["w2"] == listing.Row("w2", "-", "ready", "192.0.2.2", "2026-11-22T12:00:00Z", pods=2, jobs=1)
