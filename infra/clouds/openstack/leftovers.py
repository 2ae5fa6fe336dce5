"""What an environment that is gone left in the project, found by its tags and names."""

from collections.abc import Callable, Iterable

from openstack.connection import Connection

from refsys.infra.clouds.common.names import OWNER, named, tags
from refsys.infra.clouds.openstack.connection import connect, explained, place
from refsys.infra.clouds.openstack.settings import OpenStack
from refsys.infra.errors import UserError


def check(environment: str, settings: OpenStack, log_in: Callable[[OpenStack], Connection] = connect) -> None:
    """Look for it.

    Raises:
        UserError: names what is left.
    """
    cloud = log_in(settings)
    with explained(settings):
        left = sorted(set(_left(cloud, environment)))
    if left:
        raise UserError(
            f"environment {environment} is gone, but {place(settings)} still has of it: {', '.join(left)}",
            fix="look at each (openstack … show), and remove it by hand: no state knows it any more",
        )


def _left(cloud: Connection, environment: str) -> Iterable[str]:
    tagged = ",".join(tags(environment))
    network = cloud.network
    for kind, found in {
        "network": network.networks(tags=tagged),
        "router": network.routers(tags=tagged),
        "port": network.ports(tags=tagged),
        "security group": network.security_groups(tags=tagged),
        "floating address": network.ips(tags=tagged),
    }.items():
        yield from (f"{kind} {each.name or each.id}" for each in found)
    for server in cloud.compute.servers():
        if server.metadata.get(OWNER) == environment:
            yield f"server {server.name}"
    if cloud.compute.find_keypair(named(environment, "key"), ignore_missing=True):
        yield f"key pair {named(environment, 'key')}"
    if cloud.has_service("block-storage"):
        for volume in cloud.block_storage.volumes():
            if volume.metadata.get(OWNER) == environment:
                yield f"volume {volume.name}"
