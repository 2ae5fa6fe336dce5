"""The contract that every cloud must keep: what the program relies on."""

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi.runtime import mocks
from tests.means.program_mocks import Recorder

from refsys.infra.clouds.select import CLOUDS, cloud_of
from refsys.infra.environment import Environment
from refsys.infra.nodes.change import pool_of
from refsys.infra.nodes.scale import resized

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "local": {"local": {"workers": 2}},
}
"""A config for each cloud."""


@pytest.fixture
def recorder() -> Recorder:
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
        addresses = set()
        for pool in environment.settings.pools():
            machines = cloud.node_pool(pool, "ssh-ed25519 AAAA")
            assert [machine.name for machine in machines] == list(pool.names)
            assert {machine.role for machine in machines} == {pool.role}
            assert all(machine.pool is pool for machine in machines)
            assert all(machine.resource is not None for machine in machines)
            addresses |= {ipaddress.ip_address(machine.address) for machine in machines}
        assert len(addresses) == sum(len(pool.names) for pool in environment.settings.pools())
        network = ipaddress.ip_network(environment.network)
        assert all(address in network for address in addresses)

    def test_the_number_of_a_pool_is_a_field_of_the_config_that_changes_nothing_else(self, name: str) -> None:
        environment = self._environment(name)
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


def _other(name: str) -> Mapping[str, Any]:
    """A config of another cloud."""
    return next(config for other, config in CONFIGS.items() if other != name) if len(CONFIGS) > 1 else {}
