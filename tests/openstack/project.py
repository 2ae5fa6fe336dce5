"""What a project of the cloud really holds, asked of the cloud itself."""

from dataclasses import dataclass

from openstack.compute.v2.server import Server
from openstack.connection import Connection


@dataclass(frozen=True)
class Project:
    """The tests' project, as its user and as the cloud's administrator see it."""

    user: Connection
    admin: Connection

    @property
    def id(self) -> str:
        """The project's id."""
        return str(self.user.current_project_id)

    def everything(self) -> dict[str, set[str]]:
        """Names (ids where there are none) of all there is, by kind."""
        network, mine = self.user.network, {"project_id": self.id}
        volumes = self.user.block_storage
        found = {
            "networks": network.networks(**mine),
            "subnets": network.subnets(**mine),
            "routers": network.routers(**mine),
            "ports": network.ports(**mine),
            "floating": network.ips(**mine),
            "groups": network.security_groups(**mine),
            "servers": self.user.compute.servers(),
            "server groups": self.user.compute.server_groups(),
            "keys": self.user.compute.keypairs(),
            "volumes": volumes.volumes(),
            "images": self.user.image.images(owner=self.id),
        }
        held = {kind: {str(item.name or item.id) for item in items} for kind, items in found.items()}
        held["groups"].discard("default")  # each project has it from its first use
        return {kind: names for kind, names in held.items() if names}

    def server(self, name: str) -> Server:
        """A server as it is now."""
        return self.user.compute.find_server(name, ignore_missing=False, details=True)

    def rules(self, group: str) -> set[tuple[str, str | None, int | None]]:
        """Direction, source and port of a security group's rules."""
        found = self.user.network.find_security_group(group, ignore_missing=False)
        rules = self.user.network.security_group_rules(security_group_id=found.id)
        return {(rule.direction, rule.remote_ip_prefix, rule.port_range_min) for rule in rules}
