"""What clouds with virtual machines share: user data, host keys, the port table."""

import subprocess
from pathlib import Path

import pytest
import yaml

from refsys.infra.clouds.common.cloud_init import Disk, user_data
from refsys.infra.clouds.common.host_key import _HostKeyProvider
from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import Port, cloud_ports, node_ports, ssh_sources
from refsys.infra.environment import Environment

CONTROLLER = "192.0.2.7"


def _environment(**more: object) -> Environment:
    return Environment.parse("t", {"cidr": "10.150.7.0/24", **more})


def test_a_node_starts_with_the_stacks_keys_and_no_others() -> None:
    text = user_data(
        "w1", authorized_key="ssh-ed25519 AAAA", host_key="PRIVATE\nKEY\n", host_public_key="ssh-ed25519 BB"
    )
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert config["hostname"] == "w1"
    assert config["ssh_authorized_keys"] == ["ssh-ed25519 AAAA"]
    assert config["ssh_keys"] == {"ed25519_private": "PRIVATE\nKEY\n", "ed25519_public": "ssh-ed25519 BB w1"}
    assert (config["ssh_deletekeys"], config["allow_public_ssh_keys"]) == (True, False)
    assert (config["ssh_pwauth"], config["disable_root"], config["users"]) == (False, False, [])
    assert "mounts" not in config


def test_a_disk_is_mounted_and_never_made_anew() -> None:
    disk = Disk("/dev/disk/by-id/x")
    config = yaml.safe_load(user_data("w1", authorized_key="k", host_key="h", host_public_key="p", disks=[disk]))
    (made,) = config["fs_setup"]
    assert (made["device"], made["overwrite"], made["partition"]) == ("/dev/disk/by-id/x", False, "none")
    assert len(made["label"]) <= 16
    (mount,) = config["mounts"]
    assert mount[:3] == ["/dev/disk/by-id/x", "/var/lib/refsys/volumes", "ext4"]
    assert "nofail" in mount[3]


def test_a_host_key_is_one_that_ssh_takes_and_stays_the_same(tmp_path: Path) -> None:
    provider = _HostKeyProvider()
    props = {"environment": "t", "node": "w1", "private_key": None, "public_key": None}
    made = provider.create(props).outs or {}
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(made["private_key"])
    shown = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == made["public_key"].split()
    again = provider.update("t/w1", made, props).outs or {}
    assert (again["private_key"], again["public_key"]) == (made["private_key"], made["public_key"])
    assert provider.diff("t/w1", made, {**props, "node": "w2"}).replaces == ["node"]
    other = provider.create({**props, "node": "w2"}).outs or {}
    assert other["public_key"] != made["public_key"]


def _sources(ports: list[Port]) -> dict[int, list[str]]:
    return {port.number: list(port.sources) for port in ports}


def test_ports_are_open_to_networks_that_need_them() -> None:
    environment = _environment(perimeter={"operators_from": ["198.51.100.0/24"]})
    nodes, controller = "10.150.7.0/24", f"{CONTROLLER}/32"
    control_plane = _sources(cloud_ports(environment, CONTROLLER, "control_plane", "10.150.7.0/24"))
    worker = _sources(cloud_ports(environment, CONTROLLER, "worker", "10.150.7.0/24"))
    assert control_plane[22] == control_plane[6443] == ["198.51.100.0/24", nodes, controller]
    assert control_plane[5000] == [nodes, controller]
    assert worker[22] == [nodes, controller]
    assert worker[4789] == [nodes]
    assert worker[10250] == [nodes, "10.244.0.0/16"]
    assert worker[32443] == worker[32636] == worker[32093] == [nodes]
    assert not {6443, 5000, 2381} & set(worker)
    assert not [port for port, sources in {**control_plane, **worker}.items() if "0.0.0.0/0" in sources]


def test_a_cloud_lets_through_all_that_nodes_answer() -> None:
    environment = _environment(perimeter={"operators_from": ["198.51.100.0/24"]})
    for role in ("control_plane", "worker"):
        own = _sources(node_ports(environment, CONTROLLER, role))
        let_through = _sources(cloud_ports(environment, CONTROLLER, role, "10.150.7.0/24"))
        assert own.items() <= let_through.items()


@pytest.mark.parametrize("role", ["control_plane", "worker"])
def test_without_networks_of_operators_ssh_is_open_as_it_says(role: str) -> None:
    assert ssh_sources(_environment(), CONTROLLER, role) == ["0.0.0.0/0"]


def test_wazuhs_ports_are_open_where_it_is_asked_for() -> None:
    wazuh = {
        "repository": "https://mirror.example.org/wazuh",
        "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----",
        "version": "4.14.1-1",
    }
    with_it = _environment(detection={"wazuh": wazuh})
    assert {1514, 1515} <= set(_sources(cloud_ports(with_it, CONTROLLER, "control_plane", "10.150.7.0/24")))
    assert 1514 not in _sources(cloud_ports(_environment(), CONTROLLER, "control_plane", "10.150.7.0/24"))


def test_names_and_tags_tell_environments_apart() -> None:
    assert named("ops", "cp1") == "refsys-ops-cp1" != named("test", "cp1")
    assert tags("ops", "worker") == ["refsys", "refsys-environment=ops", "worker"]
