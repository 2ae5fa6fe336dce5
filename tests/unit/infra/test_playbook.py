"""Which nodes a playbook runs on, and how its failures are told."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from refsys.infra import paths, playbook
from refsys.infra.managed import DRIFT
from refsys.infra.playbook import _concerned, _PlaybookProvider, failures, hosts


def _inventory(**instances: str) -> dict[str, Any]:
    workers = {name: {"node_instance": instance} for name, instance in instances.items()}
    return {"all": {"vars": {"a": 1}, "children": {"kubernetes": {"children": {"worker": {"hosts": workers}}}}}}


def _props(inventory: dict[str, Any], **changes: str) -> dict[str, Any]:
    return {"inventory": json.dumps(inventory), "digest": "d", "secrets": "{}", "playbook": "cluster"} | changes


def test_hosts_of_nested_groups() -> None:
    assert set(hosts(_inventory(w1="i", w2="j"))) == {"w1", "w2"}


def test_a_first_run_and_changed_roles_concern_everybody() -> None:
    props = _props(_inventory(w1="i"))
    assert _concerned(props, None) is None
    assert _concerned(props, _props(_inventory(w1="i"), digest="old")) is None


def test_a_new_or_replaced_node_concerns_itself_only() -> None:
    before, after = _props(_inventory(w1="i", w2="j")), _props(_inventory(w1="i", w2="new", w3="k"))
    assert _concerned(after, before) == ["w2", "w3"]


def test_a_node_that_left_concerns_no_other() -> None:
    assert _concerned(_props(_inventory(w1="i")), _props(_inventory(w1="i", w2="j"))) == []


def test_failures_name_task_node_and_cause() -> None:
    log = """
TASK [containerd : Restart containerd] *****
changed: [cp1]
TASK [kubernetes_worker : Join the cluster] *****
fatal: [w1]: FAILED! => {"changed": true, "msg": "non-zero return code", "stderr": "x509: unknown authority"}
"""
    text = failures(log)
    assert "w1: kubernetes_worker : Join the cluster" in text
    assert "x509: unknown authority" in text
    assert "containerd" not in text


def test_a_service_that_is_away_concerns_everybody_and_is_named() -> None:
    props = _props(_inventory(w1="i"))
    assert _concerned(props, props | {DRIFT: "away"}) is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        service = f"127.0.0.1:{server.getsockname()[1]}"
        assert _PlaybookProvider().probe(props | {"serves": [service]}) == ""
    assert f"{service} can't be reached" in _PlaybookProvider().probe(props | {"serves": [service]})


def test_what_roles_read_from_elsewhere_is_part_of_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(playbook, "SOURCES", (tmp_path / "roles", tmp_path / "waivers.yml"))
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "tasks.yml").write_text("a")
    (tmp_path / "waivers.yml").write_text("b")
    before = playbook._digest()
    (tmp_path / "waivers.yml").write_text("c")
    assert playbook._digest() != before
