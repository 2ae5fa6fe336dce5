"""Inputs of OpenStack's types: what is checked, what changes in place, what makes an object anew."""

from typing import Any

import pulumi_openstack
import pytest
from tests.unit.plugin.openstack_cloud import Engine, MemoryCloud, Refused, plain

from refsys.infra.plugins.openstack.inputs import FAILED
from refsys.infra.plugins.openstack.kinds import KINDS

NETWORK = "openstack:networking/network:Network"
SUBNET = "openstack:networking/subnet:Subnet"
PORT = "openstack:networking/port:Port"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
SERVER = "openstack:compute/instance:Instance"
VOLUME = "openstack:blockstorage/volume:Volume"
IMAGE = "openstack:images/image:Image"


@pytest.fixture
def engine() -> Engine:
    return Engine(MemoryCloud())


def replaces(engine: Engine, type_name: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Changed and replacing properties."""
    answer = engine.diff(type_name, old, new)
    return list(answer.diffs), list(answer.replaces)


@pytest.mark.parametrize("type_name", sorted(KINDS))
def test_every_type_and_input_is_the_vendors(type_name: str) -> None:
    module, name = type_name.split(":")[1].split("/", maxsplit=1)[0], type_name.rpartition(":")[2]
    resource = getattr(getattr(pulumi_openstack, module), name)
    arguments = getattr(getattr(pulumi_openstack, module), f"{name}Args")
    known = {vars(value.fget)["_pulumi_name"] for value in vars(arguments).values() if isinstance(value, property)}
    assert KINDS[type_name].fields.keys() <= known
    assert resource.pulumi_type == type_name


@pytest.mark.parametrize(
    ("type_name", "old", "new", "expected"),
    [
        (NETWORK, {"name": "a"}, {"name": "b"}, (["name"], [])),
        (NETWORK, {"name": "a", "mtu": 1400}, {"name": "a"}, ([], [])),
        (NETWORK, {"name": "a", "description": "x"}, {"name": "a"}, (["description"], [])),
        (NETWORK, {"name": "a", "region": "x"}, {"name": "a", "region": "y"}, (["region"], ["region"])),
        (SUBNET, {"networkId": "n", "cidr": "10.0.0.0/24"}, {"networkId": "n", "cidr": "10.0.1.0/24"}, (["cidr"],) * 2),
        (SUBNET, {"networkId": "n"}, {"networkId": "n", "ipVersion": 4, "enableDhcp": True}, ([], [])),
        (SUBNET, {"networkId": "n"}, {"networkId": "n", "enableDhcp": False}, (["enableDhcp"], [])),
        (PORT, {"networkId": "n"}, {"networkId": "m"}, (["networkId"], ["networkId"])),
        (PORT, {"securityGroupIds": ["a", "b"]}, {"securityGroupIds": ["b", "a"]}, ([], [])),
        (PORT, {"securityGroupIds": ["a", "b"]}, {"securityGroupIds": ["a"]}, (["securityGroupIds"], [])),
        (RULE, {"portRangeMax": 22}, {"portRangeMax": 23}, (["portRangeMax"], ["portRangeMax"])),
        (RULE, {"description": "x"}, {"description": "y"}, (["description"], ["description"])),
        (SERVER, {"flavorName": "small"}, {"flavorName": "large"}, (["flavorName"], [])),
        (SERVER, {"imageId": "a"}, {"imageId": "b"}, (["imageId"], [])),
        (SERVER, {"userData": "a"}, {"userData": "b"}, (["userData"], ["userData"])),
        (SERVER, {"networks": [{"port": "a"}]}, {"networks": [{"port": "b"}]}, (["networks"], ["networks"])),
        (SERVER, {"metadata": {"a": "1"}}, {"metadata": {"a": "2"}}, (["metadata"], [])),
        (SERVER, {"keyPair": "a"}, {}, (["keyPair"], ["keyPair"])),
        (SERVER, {"availabilityZone": "a"}, {}, ([], [])),
        (VOLUME, {"size": 1}, {"size": 2}, (["size"], [])),
        (VOLUME, {"size": 1, "snapshotId": "a"}, {"size": 1, "snapshotId": "b"}, (["snapshotId"], ["snapshotId"])),
        (IMAGE, {"localFilePath": "a"}, {"localFilePath": "b"}, (["localFilePath"], ["localFilePath"])),
        (IMAGE, {"visibility": "private"}, {}, ([], [])),
    ],
)
def test_what_changes_and_what_is_made_anew(
    engine: Engine, type_name: str, old: dict[str, Any], new: dict[str, Any], expected: tuple[list[str], list[str]]
) -> None:
    assert replaces(engine, type_name, old, new) == expected


def test_a_given_name_is_freed_before_it_is_taken_again(engine: Engine) -> None:
    old, new = {"name": "a", "userData": "1"}, {"name": "a", "userData": "2"}
    assert engine.diff(SERVER, old, new).deleteBeforeReplace
    automatic = {"__defaults": ["name"]}
    assert not engine.diff(SERVER, old | automatic, new | automatic | {"name": "b"}).deleteBeforeReplace


def test_what_the_cloud_filled_in_is_no_change_when_the_program_names_it(engine: Engine) -> None:
    assert not engine.diff(NETWORK, {"name": "a"}, {"name": "a", "mtu": 1450}, {"name": "a", "mtu": 1450}).diffs
    assert list(engine.diff(NETWORK, {"name": "a"}, {"name": "a", "mtu": 1400}, {"name": "a", "mtu": 1450}).diffs) == [
        "mtu"
    ]


def test_a_server_in_error_is_made_anew(engine: Engine) -> None:
    same = {"name": "a", "flavorName": "small"}
    answer = engine.diff(SERVER, same, same, same | {FAILED: True})
    assert list(answer.replaces) == ["status"]
    assert answer.deleteBeforeReplace


def test_names_and_refusals(engine: Engine) -> None:
    first = plain(engine.check(NETWORK, "net", {}))["name"]
    assert first.startswith("net-")
    assert len(first) == len("net-") + 7
    kept = engine.check(NETWORK, "net", {}, {"name": first, "__defaults": ["name"]})
    assert plain(kept)["name"] == first
    assert plain(engine.check(NETWORK, "net", {"name": "mine"}))["name"] == "mine"
    with pytest.raises(Refused, match="needs networkId"):
        engine.check(SUBNET, "sub", {"cidr": "10.0.0.0/24"})
    with pytest.raises(Refused, match="segments of openstack:networking/network:Network is not served"):
        engine.check(NETWORK, "net", {"segments": [{"networkType": "vlan"}]})
    with pytest.raises(Refused, match="needs flavorName or flavorId"):
        engine.check(SERVER, "s", {"imageId": "x"})
    with pytest.raises(Refused, match="dns/zone:Zone is not served"):
        engine.check("openstack:dns/zone:Zone", "z", {})
