"""What goes wrong on a real OpenStack: told with the cloud's reason and a fix, and mended by the next `up`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pulumi import automation as auto
from pulumi_openstack import networking

from tests.means.lost_answers import way_to
from tests.means.openstack.cloud import Cloud
from tests.means.openstack.configuration import ADDRESS
from tests.openstack.program import KEY, Wanted, provider, small
from tests.openstack.project import Project
from tests.plugin.engine import Stack


@contextmanager
def told(*texts: str) -> Iterator[None]:
    """The engine fails, and what it says has these texts."""
    with pytest.raises(auto.CommandError) as caught:
        yield
    said = str(caught.value)
    for text in texts:
        assert text in said, said


def test_quota(stack: Stack, cloud: Cloud, project: Project, image_file: Path) -> None:
    project.admin.compute.update_quota_set(project.id, instances=1)
    try:
        with told("server t-w", "Quota exceeded for instances", "raise the project's quota"):
            stack.up(small(cloud, image_file, Wanted(nodes=2)))
        states = [server.status for server in project.user.compute.servers()]
        assert states.count("ACTIVE") <= 1, "the rest is refused, or broken where both were asked for at once"
    finally:
        project.admin.compute.update_quota_set(project.id, instances=60)
    stack.up(small(cloud, image_file, Wanted(nodes=2)))
    assert len(list(project.user.compute.servers())) == 2


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        (Wanted(flavor="no-such"), ["no flavor is called no-such", "take one of SCS-4V-16"]),
        (Wanted(image="00000000-0000-0000-0000-000000000000"), ["server t-w1", "Can not find requested image"]),
        (Wanted(password="wrong"), ["The request you have made requires authentication", "check the credentials"]),
    ],
)
def test_what_does_not_exist(stack: Stack, cloud: Cloud, image_file: Path, wanted: Wanted, texts: list[str]) -> None:
    with told(*texts, "fix:"):
        stack.up(small(cloud, image_file, wanted))
    assert not list(cloud.tester().compute.servers())


def test_overlapping_networks(stack: Stack, cloud: Cloud, project: Project) -> None:
    network = project.user.network.create_network(name="theirs")
    subnet = project.user.network.create_subnet(network_id=network.id, cidr="10.20.0.0/16", ip_version=4)

    def program() -> None:
        opts = provider(cloud, Wanted())
        networking.Subnet("subnet", name="t-subnet", network_id=network.id, cidr="10.20.1.0/24", opts=opts)

    with told("subnet t-subnet", "overlap", "choose another range"):
        stack.up(program)
    project.user.network.delete_subnet(subnet)
    stack.up(program)
    stack.destroy()
    project.user.network.delete_network(network)


def test_name_that_is_taken(stack: Stack, cloud: Cloud, project: Project, image_file: Path) -> None:
    theirs = project.user.compute.create_keypair(name="theirs", public_key=KEY.replace("IIbW", "IIbX"))
    with told("key pair theirs", "already exists", "choose another"):
        stack.up(small(cloud, image_file, Wanted(nodes=0, key_name="theirs")))
    stack.up(small(cloud, image_file, Wanted(nodes=0)))
    stack.destroy()
    assert project.user.compute.find_keypair("theirs") is not None
    project.user.compute.delete_keypair(theirs)


def test_server_that_no_host_has_room_for(stack: Stack, cloud: Cloud, project: Project, image_file: Path) -> None:
    with told("server t-w1", "No valid host was found", "choose a smaller flavor"):
        stack.up(small(cloud, image_file, Wanted(flavor="giant")))
    [broken] = project.user.compute.servers()
    assert broken.status == "ERROR"
    stack.up(small(cloud, image_file, Wanted()))
    [server] = project.user.compute.servers()
    assert server.status == "ACTIVE"
    assert server.id != broken.id


def test_a_broken_server_goes_down_with_the_rest(
    stack: Stack, cloud: Cloud, project: Project, image_file: Path
) -> None:
    with told("No valid host was found"):
        stack.up(small(cloud, image_file, Wanted(flavor="giant")))
    stack.destroy()
    assert not list(project.user.compute.servers())


def test_answers_that_get_lost_leave_nothing_behind(
    stack: Stack, cloud: Cloud, project: Project, image_file: Path
) -> None:
    with (
        way_to(f"http://{ADDRESS}:8774/v2.1") as compute,
        way_to(f"http://{ADDRESS}:9696/v2.0") as network,
    ):
        compute.lose += [("POST", "/servers")]
        network.lose += [("POST", "/networks"), ("POST", "/ports"), ("POST", "/floatingips")]
        stack.up(small(cloud, image_file, Wanted(endpoints={"compute": compute.url, "network": network.url})))
        assert (compute.lost, network.lost) == (1, 3)
        held = project.everything()
        assert held["servers"] == {"t-w1"}
        assert held["networks"] == {"t-net"}
        assert len(held["floating"]) == 1
        assert len([port for port in project.user.network.ports(project_id=project.id) if port.name == "t-w1"]) == 1
        stack.destroy()
