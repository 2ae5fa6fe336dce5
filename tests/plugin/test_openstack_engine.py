"""The OpenStack plugin under the real engine, without a cloud: previews ask nothing of it."""

import gc
import resource
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pulumi_openstack
import pytest
from pulumi import automation as auto
from pulumi_openstack import blockstorage, compute, networking
from tests.means.engine import variables
from tests.plugin.engine import Program, Stack

from refsys.infra.toolchain import tool_bin

SECRET = "correct-horse-battery"
NOWHERE = "http://127.0.0.1:1/v3"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    workspace = auto.LocalWorkspaceOptions(
        work_dir=str(tmp_path),
        env_vars=variables(tmp_path, "openstack"),
        pulumi_command=auto.PulumiCommand(str(tool_bin("pulumi").parent), skip_version_check=True),
    )
    yield Stack(auto.create_or_select_stack("os", "plugin", lambda: None, opts=workspace), tmp_path / "state")
    gc.collect()  # what a failed program left is reported here, not after the tests


def nodes(number: int, **network: object) -> Program:
    """A network with so many servers, each with a port and a volume."""

    def run() -> None:
        cloud = pulumi_openstack.Provider(
            "cloud",
            auth_url=NOWHERE,
            application_credential_id="id",
            application_credential_secret=SECRET,
            insecure=True,
        )
        opts = pulumi.ResourceOptions(provider=cloud)
        net = networking.Network("net", opts=opts, **network)  # type: ignore[call-overload]
        subnet = networking.Subnet("subnet", network_id=net.id, cidr="10.20.0.0/24", opts=opts)
        group = networking.SecGroup("group", delete_default_rules=True, opts=opts)
        for name in (f"w{each}" for each in range(number)):
            port = networking.Port(
                name,
                network_id=net.id,
                fixed_ips=[{"subnet_id": subnet.id}],
                security_group_ids=[group.id],
                opts=opts,
            )
            server = compute.Instance(
                name,
                flavor_name="small",
                image_id="image",
                networks=[{"port": port.id}],
                user_data=pulumi.Output.secret(SECRET),
                opts=opts,
            )
            volume = blockstorage.Volume(name, size=1, opts=opts)
            compute.VolumeAttach(name, instance_id=server.id, volume_id=volume.id, opts=opts)

    return run


def test_twenty_nodes_are_previewed_without_the_cloud(stack: Stack) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    previewed = stack.preview(nodes(20))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 30
    assert {str(step): number for step, number in previewed.change_summary.items()} == {"create": 5 + 20 * 4}
    assert SECRET not in previewed.stdout


def test_a_cloud_that_cannot_be_reached_is_told_and_nothing_is_kept(stack: Stack) -> None:
    with pytest.raises(auto.CommandError, match="no answer from the cloud") as caught:
        stack.up(nodes(1))
    assert SECRET not in str(caught.value)
    stack.destroy()


def test_what_is_not_served_is_refused_by_name(stack: Stack) -> None:
    with pytest.raises(auto.CommandError, match=r"segments of openstack:networking/network:Network is not served"):
        stack.preview(nodes(0, segments=[{"network_type": "vlan"}]))
