"""The life of a local environment, in order: up, demo, nothing to do, faults, one more worker, down."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from kubernetes import client, config

from refsys.infra import paths, shell
from refsys.infra.clouds.local import cgroups, hosts, naming, network, nspawn
from refsys.infra.environment import Environment as Model
from refsys.infra.environment import config_file
from refsys.infra.playbook import hosts as hosts_of
from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(3600)


def test_up(environment: Environment) -> None:
    environment.refsys("up", environment.name)
    assert json.loads(environment.refsys("status", environment.name, "--json").output)["well"]


def test_products_travel_from_a_station_to_a_user_once(environment: Environment) -> None:
    samples = os.environ.get("REFSYS_SAMPLES")
    command = ["demo", environment.name, *(["--samples", samples] if samples else [])]
    for _ in range(2):
        assert "published once" in environment.refsys(*command).output


def test_a_second_up_changes_nothing(environment: Environment) -> None:
    done = environment.refsys("up", environment.name)
    assert re.search(r": \d+ same$", done.output, re.M), done.output
    assert done.seconds <= 60


def test_a_second_run_of_the_playbooks_changes_nothing(environment: Environment) -> None:
    for playbook in ("nodes", "cluster"):
        log = _playbook(environment, playbook)
        recap = re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", log)
        assert recap, log
        assert set(recap) == {("0", "0", "0")}, log


def _playbook(environment: Environment, playbook: str) -> str:
    """Run a playbook by hand, as docs/operators.md says."""
    script = """
        set -e
        eval "$(./refsys toolchain env)"
        umask 077
        secrets=$(mktemp /dev/shm/secrets.XXXXXX)
        trap 'rm -f "$secrets"' EXIT
        pulumi stack output --stack "$3" --show-secrets playbook_secrets >"$secrets"
        ansible-playbook -i "$1/inventory.yml" "playbooks/$2.yml" -e "@$secrets"
    """
    command = ["bash", "-c", script, "bash", str(environment.home), playbook, environment.name]
    done = subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pods_can_talk_only_along_the_flows(environment: Environment) -> None:
    api = client.NetworkingV1Api(config.new_client_from_config(environment.endpoints()["kubeconfig"]))
    for namespace in ("database", "infra", "iam", "networking", "processing"):
        policies = {policy.metadata.name: policy for policy in api.list_namespaced_network_policy(namespace).items}
        assert any(
            not policy.spec.pod_selector.match_labels and set(policy.spec.policy_types) == {"Ingress", "Egress"}
            for policy in policies.values()
        ), namespace


def test_a_taken_port_is_told_and_a_stopped_registry_mended(environment: Environment) -> None:
    table = naming.table(environment.name)
    for chain in ("balance_in", "balance_out"):
        shell.run("nft", "delete", "chain", "inet", table, chain)
    inventory = environment.inventory()
    known_hosts = f"UserKnownHostsFile={environment.home / 'known_hosts'}"
    login = ["-i", str(environment.home / "ssh" / "id_ed25519"), "-o", known_hosts]
    control_plane = f"root@{hosts_of(inventory)['cp1']['ansible_host']}"
    shell.run("ssh", *login, control_plane, "systemctl", "stop", "docker-registry")
    address = network.gateway(Model.load(environment.name).network)
    with socket.create_server((address, 443)):
        done = environment.refsys("up", environment.name, check=False)
    assert done.code == 1
    assert f"port 443 on {address} is in use" in done.output
    assert "ss -ltnp" in done.output
    environment.refsys("up", environment.name)
    assert json.loads(environment.refsys("status", environment.name, "--json").output)["well"]


def test_a_killed_node_is_mended(environment: Environment) -> None:
    spec = nspawn.NodeSpec(environment.name, "w1", "", "", 0, 0, "")
    pid = nspawn.leader(spec)
    assert pid
    os.kill(pid, signal.SIGKILL)
    done = environment.refsys("up", environment.name)
    assert "Node w1" in done.output
    assert nspawn.leader(spec) not in (None, pid)
    environment.refsys("demo", environment.name)


def test_a_killed_command_is_resumed(environment: Environment) -> None:
    environment.configure(local={"workers": 2})
    process = subprocess.Popen([str(paths.CHECKOUT / "refsys"), "up", environment.name], start_new_session=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=12)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    environment.refsys("up", environment.name)
    assert _nodes(environment) == {"cp1", "w1", "w2"}


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_leaves_no_process(environment: Environment, signal_number: int) -> None:
    process = subprocess.Popen(
        [str(paths.CHECKOUT / "refsys"), "up", environment.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(8)
    if signal_number == signal.SIGINT:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "run the same command again" in output
    assert "Traceback" not in output
    until = time.monotonic() + 10  # providers look once a second whether their engine is still there
    while (left := shell.run("pgrep", "-a", "--session", str(process.pid), ok=(0, 1))) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left


def test_a_worker_leaves(environment: Environment) -> None:
    environment.configure(local={"workers": 1})
    environment.refsys("up", environment.name)
    assert _nodes(environment) == {"cp1", "w1"}
    assert json.loads(environment.refsys("status", environment.name, "--json").output)["well"]


def _nodes(environment: Environment) -> set[str]:
    api = client.CoreV1Api(config.new_client_from_config(environment.endpoints()["kubeconfig"]))
    return {node.metadata.name for node in api.list_node().items}


def test_down_leaves_nothing(environment: Environment) -> None:
    environment.refsys("down", environment.name)
    assert config_file(environment.name).exists(), "the config is the operator's"
    assert not environment.home.exists()
    assert not network.exists(environment.name)
    assert not network.has_table(environment.name)
    assert not hosts.read(environment.name)
    assert not cgroups.processes(naming.machine(environment.name, "w1"))
    assert environment.name not in Path("/proc/mounts").read_text()
    running = subprocess.run(["pgrep", "-f", f"machine={environment.name}-"], capture_output=True, check=False)
    assert running.stdout == b""
