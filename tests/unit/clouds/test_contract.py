"""The contract that every cloud must keep: what the program relies on."""

import asyncio
import ipaddress
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.rpc import _special_sig_key as _sig_key
from tests.means.program_mocks import Recorder, declare

from refsys.infra.clouds.interface import Machine
from refsys.infra.clouds.openstack import survey
from refsys.infra.clouds.select import CLOUDS, cloud_of
from refsys.infra.environment import Environment
from refsys.infra.nodes.change import pool_of
from refsys.infra.nodes.scale import resized

LOGIN = {"key_file": "/root/.ssh/id_ed25519", "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbC"}
MACHINES: list[dict[str, Any]] = [
    {"name": "a", "role": "control_plane", "address": "192.0.2.10", **LOGIN},
    {"name": "b", "role": "worker", "address": "192.0.2.11", "user": "debian", "port": 2222, **LOGIN},
]
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "local": {"local": {"workers": 2}},
    "openstack": {
        "demo": False,
        "openstack": {
            "cloud": "test",
            "external_network": "public",
            "image": "debian",
            "bastion_flavor": "small",
            "nodes": [
                {"name": "infra", "role": "worker", "count": 2, "flavor": "large", "first_address": 20},
                {"name": "master", "role": "control_plane", "count": 1, "flavor": "medium", "first_address": 10},
            ],
        },
    },
    "existing": {
        "cidr": "192.0.2.0/24",
        "existing": {"machines": MACHINES, "entrance": "192.0.2.1", "controller": "192.0.2.2"},
    },
    "scaleway": {
        "cidr": "10.150.7.0/24",
        "perimeter": {"operators_from": ["198.51.100.0/24"]},
        "demo": False,
        "scaleway": {
            "zone": "pl-waw-3",
            "nodes": [
                {"name": "cp", "role": "control_plane", "count": 1, "type": "POP2-HC-4C-8G"},
                {"name": "w", "role": "worker", "count": 2, "type": "POP2-4C-16G", "volume_gb": 200},
            ],
        },
    },
}
"""A config for each cloud."""


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(survey, "look", lambda *_: survey.Survey("external-id", "image-id"))
    asyncio.set_event_loop(asyncio.new_event_loop())
    made = Recorder()
    mocks.set_mocks(made, project="refsys", stack="t", preview=False)
    return made


def test_every_cloud_is_here() -> None:
    assert set(CONFIGS) == set(CLOUDS)


@pytest.mark.parametrize("name", CLOUDS)
class TestContract:
    def _environment(self, name: str) -> Environment:
        return Environment.parse("t", {"cloud": name, **CONFIGS[name]})

    def test_pools_begin_with_the_control_plane_and_have_a_worker(self, name: str) -> None:
        pools = self._environment(name).settings.pools()
        assert pools[0].role == "control_plane"
        assert "worker" in {pool.role for pool in pools}
        names = [node for pool in pools for node in pool.names]
        assert len(names) == len(set(names))

    def test_a_pool_becomes_machines(self, recorder: Recorder, name: str) -> None:
        environment = self._environment(name)
        cloud = cloud_of(environment)
        addresses: set[Any] = set()
        made: dict[str, list[Machine]] = {}

        # To its end: what is left waiting would be taken up by the next test's loop.
        @pulumi.runtime.test  # type: ignore[untyped-decorator]  # Pulumi gives it no types
        def make() -> None:
            made.update({pool.name: cloud.node_pool(pool, "ssh-ed25519 AAAA") for pool in environment.settings.pools()})

        make()
        for pool in environment.settings.pools():
            machines = made[pool.name]
            assert [machine.name for machine in machines] == list(pool.names)
            assert {machine.role for machine in machines} == {pool.role}
            assert all(machine.pool == pool for machine in machines)
            assert all(machine.resource is not None for machine in machines)
            addresses |= {ipaddress.ip_address(machine.address) for machine in machines}
        assert len(addresses) == sum(len(pool.names) for pool in environment.settings.pools())
        network = ipaddress.ip_network(environment.network)
        assert all(address in network for address in addresses)

    def test_the_number_of_a_pool_is_a_field_of_the_config_that_changes_nothing_else(self, name: str) -> None:
        # Written out: a number in a list that only the default has can't be changed.
        written = {name: self._environment(name).settings.model_dump(exclude_none=True)}
        environment = Environment.parse("t", {"cloud": name, **CONFIGS[name], **written})
        for pool in environment.settings.pools():
            if pool.count_field:
                found = resized(environment, pool, len(pool.names) + 1)
                assert pool_of(found, pool.name).names[:-1] == list(pool.names)
                others = [each for each in environment.settings.pools() if each.name != pool.name]
                assert [pool_of(found, each.name) for each in others] == others

    def test_nodes_know_who_sets_them_up(self, name: str) -> None:
        ipaddress.ip_address(cloud_of(self._environment(name)).controller())

    def test_variables_say_whether_the_kernel_is_shared(self, name: str) -> None:
        assert isinstance(cloud_of(self._environment(name)).variables["shared_kernel"], bool)

    def test_settings_of_another_cloud_are_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="settings of a cloud"):
            Environment.model_validate({"name": "t", "cloud": name, **CONFIGS[name], **_other(name)})

    def test_its_infrastructure_is_declared_and_handed_over(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        environment = Environment.parse("t", {"cloud": name, "until": "infrastructure", **CONFIGS[name]})
        monkeypatch.setattr(type(cloud_of(environment)), "preflight", lambda _: None)
        declare(environment)
        urns = Counter((args.typ, args.name) for args in recorder.made)
        assert [urn for urn, number in urns.items() if number > 1] == []
        files = {args.inputs["file"]: args.inputs["content"]["value"] for args in recorder.of("File")}
        groups = json.loads(files["inventory.yml"])["all"]["children"]["kubernetes"]["children"]
        nodes = [node for pool in environment.settings.pools() for node in pool.names]
        assert [node for group in groups.values() for node in group["hosts"]] == nodes
        assert len(files["known_hosts"].splitlines()) >= len(nodes)

    def test_private_keys_are_declared_as_secrets_alone(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        environment = Environment.parse("t", {"cloud": name, "until": "infrastructure", **CONFIGS[name]})
        monkeypatch.setattr(type(cloud_of(environment)), "preflight", lambda _: None)
        declare(environment)
        for args in recorder.made:
            in_clear = {key: value for key, value in args.inputs.items() if not _is_secret(value)}
            assert "private_key>" not in json.dumps(in_clear, default=str), (args.typ, args.name)

    def test_whether_a_failed_removal_may_be_forgotten_is_said(self, name: str) -> None:
        assert isinstance(cloud_of(self._environment(name)).sweeps, bool)


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and _sig_key in value


def _other(name: str) -> Mapping[str, Any]:
    """A config of another cloud."""
    return next(config for other, config in CONFIGS.items() if other != name) if len(CONFIGS) > 1 else {}
