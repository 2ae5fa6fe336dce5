"""Machines that somebody else made, here by the local cloud's own code: taken over, made a cluster, released."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from refsys.infra import paths
from refsys.infra.clouds.local import naming, network
from refsys.infra.environment import config_file
from tests.local.conftest import Done, Environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

OWNER = "t-owner"
"""Stands for whoever made the machines."""
NAME = "t-existing"


class Machines:
    """Two machines with their owner's key."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = json.loads(_machines("create", "--nodes=m1,m2"))["nodes"]

    def declared(self) -> list[dict[str, str]]:
        """As the config takes them."""
        roles = {"m1": "control_plane", "m2": "worker"}
        return [
            {
                "name": name,
                "role": roles[name],
                "address": each["address"],
                "user": each["user"],
                "key_file": each["ssh_key"],
                "host_key": each["host_key"],
            }
            for name, each in self.found.items()
        ]

    def run(self, name: str, script: str) -> str:
        """What a script prints that the owner runs on a machine."""
        machine = self.found[name]
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        command = ["ssh", "-i", machine["ssh_key"], *options, f"root@{machine['address']}", "sh", "-s"]
        return subprocess.run(command, input=script, capture_output=True, text=True, check=True).stdout


def _machines(verb: str, *options: str) -> str:
    command = [sys.executable, "-m", "refsys.infra.clouds.local.machines", verb, f"--environment={OWNER}", *options]
    return subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    yield Machines()
    _machines("destroy")


def _configure(machines: list[dict[str, Any]]) -> None:
    cidr = naming.default_cidr(OWNER)
    values = {
        "cloud": "existing",
        "cidr": cidr,
        "until": "cluster",
        "demo": False,
        "existing": {"machines": machines, "entrance": network.gateway(cidr), "shared_kernel": True},
    }
    config_file(NAME).write_text(yaml.safe_dump({"config": {f"refsys:{key}": value for key, value in values.items()}}))


@pytest.fixture(scope="module")
def subject(machines: Machines) -> Iterator[Environment]:
    environment = Environment()
    _configure(machines.declared())
    yield environment
    environment.refsys("down", NAME, check=False)
    config_file(NAME).unlink(missing_ok=True)


def _up(environment: Environment, *, check: bool = True) -> Done:
    return environment.refsys("up", NAME, check=check)


def test_another_host_key_is_refused_and_every_problem_named(subject: Environment, machines: Machines) -> None:
    wrong = [{**each, "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther"} for each in machines.declared()]
    _configure(wrong)
    done = _up(subject, check=False)
    assert done.code == 1
    assert "another host key" in done.output or "Host key verification failed" in done.output, done.output
    assert "m1" in done.output and "m2" in done.output
    assert "refsys-environment" not in machines.run("m1", "ls /etc")
    _configure(machines.declared())


def test_machines_become_a_cluster(subject: Environment, machines: Machines) -> None:
    _up(subject)
    kubeconfig = paths.environment_home(NAME) / "kubeconfig"
    nodes = client.CoreV1Api(config.new_client_from_config(str(kubeconfig))).list_node().items
    ready = {
        node.metadata.name: next(each.status for each in node.status.conditions if each.type == "Ready")
        for node in nodes
    }
    assert ready == {"m1": "True", "m2": "True"}
    assert machines.run("m2", "cat /etc/refsys-environment").strip() == NAME


def test_a_second_up_changes_nothing(subject: Environment) -> None:
    done = _up(subject)
    assert ": " in done.output and " same" in done.output
    assert "create" not in done.output.rpartition("environment t-existing")[2], done.output
    assert "update" not in done.output.rpartition("environment t-existing")[2], done.output


def test_a_lower_layer_is_refused_and_nothing_lost(subject: Environment) -> None:
    done = subject.refsys("up", NAME, "--until", "infrastructure", check=False)
    assert done.code == 1
    assert "would remove cluster with all data" in done.output
    assert "create" not in _up(subject).output.rpartition("environment t-existing")[2]


def test_machines_of_one_environment_are_not_taken_by_another(subject: Environment, machines: Machines) -> None:
    other = Path(str(config_file("t-other")))
    other.write_text(config_file(NAME).read_text())
    try:
        done = subject.refsys("up", "t-other", check=False)
    finally:
        other.unlink()
    assert done.code == 1
    assert f"is a node of environment {NAME}" in done.output, done.output


def test_down_leaves_the_machines_as_they_were(subject: Environment, machines: Machines) -> None:
    subject.refsys("down", NAME)
    for name in machines.found:
        left = machines.run(
            name,
            "ls -d /etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/refsys-environment /var/lib/refsys 2>/dev/null;"
            f"grep refsys-{NAME} /root/.ssh/authorized_keys; grep -l refsys /etc/hosts;"
            "ss -Hltn 'sport = :10250 or sport = :6443 or sport = :5000'; ip -o link | grep -E 'cali|vxlan';"
            "nft list tables | grep refsys; systemctl is-active kubelet containerd | grep '^active'; true",
        )
        assert left == "", left
    assert not paths.environment_home(NAME).exists()
    subject.refsys("down", NAME)
