"""The environment's SSH key."""

from pathlib import Path

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from pulumi.dynamic import Resource

from refsys.infra import paths
from refsys.infra.managed import Managed, Properties

BREAK_GLASS = "break_glass"
PORT = 22
CONFIG = "ssh_config"
"""File in the environment's folder with the way through its bastion, where it has one."""
BASTION_HOSTS = "known_hosts.bastion"


def key_file(environment: str, name: str = "id_ed25519") -> Path:
    """Where the private key called `name` lies, for ssh and Ansible."""
    return paths.environment_home(environment) / "ssh" / name


def known_host(address: str, port: int = PORT) -> str:
    """The name of a server in known_hosts."""
    return address if port == PORT else f"[{address}]:{port}"


class _SshKeyProvider(Managed):
    def identity(self, props: Properties) -> str:
        return f"{props['environment']}/{props['name']}"

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        if old and old.get("private_key"):
            private = str(old["private_key"])
        else:
            private = (
                ed25519.Ed25519PrivateKey.generate()
                .private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
                )
                .decode()
            )
        file = _file(props)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.write_private(file, private)
        public = serialization.load_ssh_private_key(private.encode(), None).public_key()
        text = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        return {"private_key": private, "public_key": text}

    def probe(self, props: Properties) -> str:
        file = _file(props)
        return "" if file.exists() and file.read_text() == props["private_key"] else f"{file} is not as made"

    def remove(self, props: Properties) -> None:
        _file(props).unlink(missing_ok=True)


def _file(props: Properties) -> Path:
    return key_file(props["environment"], props["name"])


class SshKey(Resource, module="refsys", name="SshKey"):
    """A key for the nodes, by default the operator's and Ansible's; its private part lies in the environment's home."""

    public_key: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(self, environment: str, name: str = "id_ed25519") -> None:
        """Make the key that lies in the file of that name."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        props = {"environment": environment, "name": name, "public_key": None, "private_key": None}
        resource = "ssh-key" if name == "id_ed25519" else f"ssh-key-{name.replace('_', '-')}"
        super().__init__(_SshKeyProvider(), resource, props, secret)
