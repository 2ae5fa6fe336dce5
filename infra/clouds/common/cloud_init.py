"""The user data of a node: what cloud-init does at its first boot, so that Ansible gets in and knows whom it meets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

DATA_FOLDER = "/var/lib/refsys/volumes"
"""Where the nodes' volumes lie, as the role `node_base` has it."""
DATA_LABEL = "refsys-data"
SSH_ONLY: Mapping[str, Any] = {
    "write_files": [
        {
            "path": "/etc/ssh/sshd_config.d/10-bastion.conf",
            "permissions": "0600",
            "content": "PasswordAuthentication no\nPermitRootLogin prohibit-password\nAllowTcpForwarding local\n"
            "PermitOpen *:22\nX11Forwarding no\nAllowAgentForwarding no\n",
        }
    ],
    "runcmd": [["systemctl", "reload", "ssh"]],
}
"""What `user_data` has `more` for a bastion: it is a way to SSH of nodes, and to nothing else."""


@dataclass(frozen=True)
class Disk:
    """A block volume that the node mounts; its file system is made where there is none, never again."""

    device: str
    """A path that does not change, as in `/dev/disk/by-id/…`."""
    label: str = DATA_LABEL
    """At most 16 characters."""
    path: str = DATA_FOLDER


def user_data(
    name: str,
    *,
    authorized_key: str,
    host_key: str,
    host_public_key: str,
    disks: Sequence[Disk] = (),
    more: Mapping[str, Any] | None = None,
) -> str:
    """Return the `#cloud-config`; it holds the host key's private part and must be kept as a secret.

    The host key is the stack's, so that the first connection already is verified; root logs in with the
    stack's key, nobody by a password. `more` is what else a cloud wants of it.
    """
    config: dict[str, Any] = {
        "hostname": name,
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": f"{host_public_key} {name}"},
        "users": [],
        "disable_root": False,
        "ssh_pwauth": False,
        # Keys that the cloud knows of somebody else's open nothing.
        "allow_public_ssh_keys": False,
        "ssh_authorized_keys": [authorized_key],
        "package_update": False,
    }
    if disks:
        config["fs_setup"] = [
            {"device": disk.device, "label": disk.label, "filesystem": "ext4", "partition": "none", "overwrite": False}
            for disk in disks
        ]
        config["mounts"] = [
            [disk.device, disk.path, "ext4", "defaults,nofail,nodev,nosuid", "0", "2"] for disk in disks
        ]
    return "#cloud-config\n" + yaml.safe_dump(config | dict(more or {}), sort_keys=False, width=10_000)
