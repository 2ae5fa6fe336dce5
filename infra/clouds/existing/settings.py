"""What an environment says about machines that are there already."""

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from refsys.infra import paths
from refsys.infra.clouds.pools import CloudSettings, NodePool, Role
from refsys.infra.model import Strict

ROLES: tuple[Role, ...] = ("control_plane", "worker")
_FIELDS = {
    # in an Ansible inventory: here
    "ansible_host": "address",
    "ansible_user": "user",
    "ansible_port": "port",
    "ansible_ssh_private_key_file": "key_file",
    "node_host_key": "host_key",
}


class ExistingMachine(Strict):
    """A machine, and how it is reached."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="name of the node")
    role: Role
    address: str = Field(pattern=r"^\d+\.\d+\.\d+\.\d+$", description="IPv4 address, in `cidr`")
    user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_-]*$", description="root, or a user with sudo")
    port: int = Field(default=22, ge=1, le=65535, description="of SSH")
    key_file: str = Field(description="private key that logs in, on this machine")
    host_key: str = Field(
        pattern=r"^(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]+=*$",
        description="the SSH host key, type and key, as the machine's own /etc/ssh/ssh_host_ed25519_key.pub has it",
    )


class Existing(CloudSettings):
    """The `existing` cloud: nothing is created or destroyed (docs/clouds/existing.md)."""

    inventory: str | None = Field(
        default=None, description="file with the machines as an Ansible inventory (YAML), instead of `machines`"
    )
    machines: list[ExistingMachine] = Field(default=[], description="the machines")
    entrance: str = Field(
        pattern=r"^\d+\.\d+\.\d+\.\d+$",
        description="address of a load balancer that hands port 443 over to port 32443 of the workers",
    )
    controller: str | None = Field(
        default=None,
        pattern=r"^\d+\.\d+\.\d+\.\d+$",
        description="this machine's address as the nodes see it; default the one it reaches them from",
    )
    shared_kernel: bool = Field(default=False, description="the machines are containers, without a kernel of their own")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("inventory"):
            return values
        if values.get("machines"):
            raise ValueError("give the machines in `machines` or in the file `inventory` names, not in both")
        return {**values, "machines": read(str(values["inventory"]))}

    @field_validator("machines")
    @classmethod
    def _fit(cls, machines: list[ExistingMachine]) -> list[ExistingMachine]:
        for role in ROLES:
            if machines and role not in {machine.role for machine in machines}:
                raise ValueError(f"there is no machine with role {role}; one is needed")
        for what in ("name", "address"):
            values = [getattr(machine, what) for machine in machines]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"two machines have the {what} {twice[0]}; each needs its own")
        return machines

    @model_validator(mode="after")
    def _has_machines(self) -> Self:
        if not self.machines:
            raise ValueError("no machines are given; list them in `machines`, or name a file in `inventory`")
        return self

    def pools(self) -> list[NodePool]:
        """The machines by role."""
        return [
            NodePool(role, role, [machine.name for machine in self.machines if machine.role == role], first_address=0)
            for role in ROLES
        ]

    def check_network(self, network: str) -> None:
        """Every machine must be in it: rules between nodes are written for it."""
        for machine in self.machines:
            if ipaddress.ip_address(machine.address) not in ipaddress.ip_network(network):
                raise ValueError(
                    f"cidr {network} does not hold machine {machine.name} ({machine.address}); set refsys:cidr to the "
                    "machines' network"
                )


def read(file: str) -> list[dict[str, Any]]:
    """The machines of an Ansible inventory; the file's name is relative to the checkout.

    Raises:
        ValueError: it can't be read, or lacks something.
    """
    try:
        document = yaml.safe_load((paths.CHECKOUT / Path(file).expanduser()).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"inventory {file} can't be read: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"inventory {file} holds no groups; docs/clouds/existing.md has an example")
    return list(_machines(document, {}, None))


def _machines(groups: Mapping[str, Any], inherited: Mapping[str, Any], role: Role | None) -> Iterator[dict[str, Any]]:
    for name, given_group in groups.items():
        group = given_group or {}
        known = {**inherited, **(group.get("vars") or {})}
        within = next((each for each in ROLES if each == name), role)
        for host, values in (group.get("hosts") or {}).items():
            if within is None:
                raise ValueError(f"host {host} is in no group of {', '.join(ROLES)}")
            variables = {**known, **(values or {})}
            given = {field: variables[key] for key, field in _FIELDS.items() if key in variables}
            yield {"name": host, "role": within, **given}
        yield from _machines(group.get("children") or {}, known, within)
