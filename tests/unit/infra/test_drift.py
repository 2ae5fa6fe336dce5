"""What playbooks would change, as Ansible itself says in check mode; and what the report makes of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from refsys.infra import paths, playbook
from refsys.infra.cli.drift import Drift
from refsys.infra.doctor.masks import Masks
from refsys.infra.drift import nodes
from refsys.infra.drift.nodes import Finding
from refsys.infra.plan.changes import Action, Change, Resource

SECRET = "b7Qx-correct-horse-19"
TASKS = """
- hosts: all
  tasks:
    - name: Write what is there
      ansible.builtin.copy: {{content: "same\\n", dest: {folder}/same, mode: "0600"}}
    - name: Write what differs
      ansible.builtin.copy: {{content: "password={{{{ word }}}}\\n", dest: {folder}/differs, mode: "0600"}}
      notify: Restart
    - name: Write some
      ansible.builtin.copy: {{content: "{{{{ item }}}}\\n", dest: "{folder}/{{{{ item }}}}", mode: "0600"}}
      loop: [one, two]
    - name: Write what nobody sees
      ansible.builtin.copy: {{content: "hidden", dest: {folder}/hidden, mode: "0600"}}
      no_log: true
    - name: Run what check mode leaves out
      ansible.builtin.command: "false"
      changed_when: true
  handlers:
    - name: Restart
      ansible.builtin.copy: {{content: "restarted", dest: {folder}/restarted, mode: "0600"}}
"""
BROKEN = """
- hosts: all
  tasks:
    - name: Ask what is not there
      ansible.builtin.slurp: {{src: {folder}/missing}}
"""
WAITING = """
- hosts: all
  tasks:
    - name: Tell the length and wait
      ansible.builtin.shell: "cd {folder}; echo {{{{ word | length }}}} > length; mv length began; sleep 60"
      changed_when: true
"""
RUN = """
import json, pathlib, sys
from refsys.infra import playbook
inventory, secrets, folder = sys.argv[1:]
playbook.PLAYBOOKS = pathlib.Path(folder)
playbook.PlaybookRun("x", json.loads(inventory), json.loads(secrets))("waiting", {})
"""
INVENTORY = {
    "all": {
        "children": {
            "worker": {
                "hosts": {
                    "w1": {"ansible_host": "127.0.0.1", "ansible_connection": "local", "node_host_key": "ssh-ed25519 A"}
                }
            }
        }
    }
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(playbook, "PLAYBOOKS", tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    for name, tasks in (("nodes", TASKS), ("broken", BROKEN)):
        (tmp_path / f"{name}.yml").write_text(tasks.format(folder=folder))
    for name, text in (("same", "same\n"), ("differs", "password=old\n"), ("one", "one\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    paths.write_private(paths.environment_home("x") / "inventory.yml", json.dumps(INVENTORY))
    return folder


def test_check_mode_tells_what_differs_and_no_secret_and_mending_mends_it(files: Path) -> None:
    secrets = {"word": SECRET}
    found = nodes.examine("x", ["nodes"], secrets, Masks([SECRET]))
    assert [(each.node, each.task, each.outcome) for each in found] == [
        ("w1", "Write what differs", "changed"),
        ("w1", "Write some", "changed"),
        ("w1", "Write what nobody sees", "changed"),
    ]
    differs, some, hidden = found
    assert "+password=<masked>" in differs.diff
    assert some.diff[0] == "item: two"
    assert hidden.diff == ()
    assert differs.place.endswith("nodes.yml:6")
    home = paths.environment_home("x")
    texts = [file.read_text() for file in home.rglob("*") if file.is_file()]
    assert texts
    assert not any(SECRET in text for text in texts)
    assert not (files / "two").exists()
    assert not list(home.glob(".check-*"))


def test_a_run_that_is_killed_leaves_no_secret(files: Path) -> None:
    (files.parent / "waiting.yml").write_text(WAITING.format(folder=files))
    given = [json.dumps(INVENTORY), json.dumps({"word": SECRET}), str(files.parent)]
    environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT / "src")}
    with subprocess.Popen([sys.executable, "-c", RUN, *given], env=environment) as run:
        deadline = time.monotonic() + 60
        while not (files / "began").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        run.kill()
    assert (files / "began").read_text() == f"{len(SECRET)}\n"
    left = [file for file in files.parent.rglob("*") if file.is_file()]
    assert [file for file in left if SECRET in file.read_text()] == []


def test_mending_runs_what_differs_on_the_nodes_concerned(files: Path) -> None:
    (files.parent / "nodes.yml").write_text(TASKS.format(folder=files).replace('command: "false"', 'command: "true"'))
    found = nodes.examine("x", ["nodes"], {"word": SECRET}, Masks([SECRET]))
    nodes.mend("x", found, {"word": SECRET})
    assert (files / "two").read_text() == "two\n"
    assert nodes.examine("x", ["nodes"], {"word": SECRET}, Masks([SECRET])) == []


def test_what_can_not_be_asked_is_told(files: Path) -> None:
    (found,) = nodes.examine("x", ["broken"], {}, Masks([]))
    assert (found.node, found.task, found.outcome) == ("w1", "Ask what is not there", "failed")
    assert "missing" in found.message


def finding(outcome: str = "changed") -> Finding:
    return Finding("nodes", "w1", "Set kernel parameters", "security/roles/x.yml:7", outcome, "", ("-a", "+b"))


def change(action: Action = Action.CHANGE, drift: str = "") -> Change:
    kind = "local:Node"
    return Change(action, Resource(f"urn:pulumi:x::refsys::{kind}::w1", kind, {}), drift=drift)


@pytest.mark.parametrize(
    ("parts", "code", "told"),
    [
        ({}, 0, "no drift"),
        ({"outside": (change(drift="not running"),)}, 3, "./refsys up x mends it"),
        ({"waiting": (change(),)}, 3, "./refsys preview x"),
        ({"on_nodes": (finding(),)}, 3, "./refsys drift x --mend"),
        ({"on_nodes": (finding("unreachable"),)}, 1, "unreachable"),
        ({"on_nodes": (finding("failed"),), "waiting": (change(),)}, 3, "failed"),
    ],
)
def test_the_report_says_what_where_and_the_next_step(parts: Mapping[str, Any], code: int, told: str) -> None:
    drift = Drift("x", **{"outside": (), "waiting": (), "on_nodes": (), **parts})
    assert drift.code == code
    text = "\n".join(line.plain for line in drift.lines())
    assert told in text
    assert ("next:" in text) is bool(code)
    assert drift.as_dict()["drift"] is (code == 3)
