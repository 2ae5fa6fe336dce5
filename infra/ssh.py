"""The environment's SSH key."""

from pathlib import Path

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from pulumi.dynamic import Resource

from refsys.infra import paths
from refsys.infra.managed import Managed, Properties


def key_file(environment: str) -> Path:
    """Where the private key lies, for ssh and Ansible."""
    return paths.environment_home(environment) / "ssh" / "id_ed25519"


class _SshKeyProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["environment"])

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
        file = key_file(props["environment"])
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.write_private(file, private)
        public = serialization.load_ssh_private_key(private.encode(), None).public_key()
        text = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        return {"private_key": private, "public_key": text}

    def probe(self, props: Properties) -> str:
        file = key_file(props["environment"])
        return "" if file.exists() and file.read_text() == props["private_key"] else f"{file} is not as made"

    def remove(self, props: Properties) -> None:
        key_file(props["environment"]).unlink(missing_ok=True)


class SshKey(Resource, module="refsys", name="SshKey"):
    """The key with which the operator and Ansible reach the nodes; the private one lies in the environment's folder."""

    public_key: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(self, environment: str) -> None:
        """Make the key."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        props = {"environment": environment, "public_key": None, "private_key": None}
        super().__init__(_SshKeyProvider(), "ssh-key", props, secret)
