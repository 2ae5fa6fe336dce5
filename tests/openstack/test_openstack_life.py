"""The life of a small environment on a real OpenStack: up, nothing to do, changed, drifted, imported, down."""

from pathlib import Path
from typing import Any

import pulumi
from pulumi_openstack import networking

from tests.means.openstack.cloud import Cloud
from tests.openstack.program import Wanted, provider, small
from tests.openstack.project import Project
from tests.plugin.engine import Stack

NODE = 6  # resources of a node


def steps(result: Any) -> dict[str, int]:
    """How many resources had which step."""
    return {str(step): number for step, number in (result.summary.resource_changes or {}).items()}


def test_up_change_refresh_and_down(stack: Stack, cloud: Cloud, project: Project, image_file: Path) -> None:
    foreign = project.user.network.create_network(name="somebody-elses")
    previewed = stack.preview(small(cloud, image_file, Wanted()))
    assert {str(step): number for step, number in previewed.change_summary.items()}["create"] == 11 + NODE

    made = stack.up(small(cloud, image_file, Wanted()))
    server = project.server("t-w1")
    assert server.status == "ACTIVE"
    assert server.flavor.original_name == "small"
    assert server.metadata == {"pool": "workers"}
    assert made.outputs["inside1"].value == "10.20.0.21"
    # Nova tells floating addresses later than they work.
    [floating] = project.user.network.ips(floating_ip_address=made.outputs["address1"].value)
    assert floating.fixed_ip_address == "10.20.0.21"
    assert project.user.network.get_port(floating.port_id).device_id == server.id
    assert [item.server_id for item in project.user.compute.volume_attachments(server)] == [server.id]
    assert project.rules("t-nodes") == {("ingress", "198.51.100.0/24", 22)}
    state = stack.state()
    assert "correct-horse-battery" not in state
    assert cloud.password not in state

    assert set(steps(stack.up(small(cloud, image_file, Wanted())))) == {"same"}
    assert set(steps(stack.refresh())) == {"same"}
    assert set(steps(stack.up(small(cloud, image_file, Wanted())))) == {"same"}

    wanted = Wanted(nodes=2, flavor="medium", ssh_from="192.0.2.0/24", volume=2)
    changed = steps(stack.up(small(cloud, image_file, wanted)))
    assert changed["create"] == NODE
    assert changed["update"] == 2  # size of server and volume
    assert changed["replace"] == 1  # the rule
    assert {item.flavor.original_name for item in project.user.compute.servers()} == {"medium"}
    assert {item.size for item in project.user.block_storage.volumes()} == {2}
    assert project.server("t-w1").id == server.id
    assert project.rules("t-nodes") == {("ingress", "192.0.2.0/24", 22)}

    lost = project.server("t-w2")
    project.user.compute.delete_server(lost)
    project.user.compute.wait_for_delete(lost)
    assert steps(stack.refresh())["delete"] == 2  # the server and its attachment
    assert steps(stack.up(small(cloud, image_file, wanted)))["create"] == 2
    assert {item.name for item in project.user.compute.servers()} == {"t-w1", "t-w2"}

    stack.destroy()
    assert project.everything() == {"networks": {"somebody-elses"}}
    project.user.network.delete_network(foreign)


def test_import(stack: Stack, cloud: Cloud, project: Project) -> None:
    theirs = project.user.network.create_network(name="made-by-hand", description="by hand")

    def program(*, importing: bool) -> Any:
        def run() -> None:
            opts = provider(cloud, Wanted())
            taken = pulumi.ResourceOptions(import_=theirs.id) if importing else pulumi.ResourceOptions()
            networking.Network(
                "taken",
                name="made-by-hand",
                description="by hand",
                opts=pulumi.ResourceOptions.merge(opts, taken),
            )

        return run

    assert steps(stack.up(program(importing=True)))["import"] == 1
    assert set(steps(stack.up(program(importing=False)))) == {"same"}
    stack.destroy()
    assert project.user.network.find_network("made-by-hand") is None
