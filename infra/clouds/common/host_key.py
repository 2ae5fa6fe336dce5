"""SSH host keys that the stack makes, so that a node is known before it answers for the first time."""

from typing import ClassVar

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from pulumi.dynamic import Resource

from refsys.infra.managed import Managed, Properties


class _HostKeyProvider(Managed):
    replace_on: ClassVar[frozenset[str]] = frozenset({"environment", "node"})

    def identity(self, props: Properties) -> str:
        return f"{props['environment']}/{props['node']}"

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        if old:
            return {"private_key": old["private_key"], "public_key": old["public_key"]}
        private = ed25519.Ed25519PrivateKey.generate()
        text = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return {"private_key": text.decode(), "public_key": public.decode()}


class HostKey(Resource, module="refsys", name="HostKey"):
    """The host key of a node. Outputs: `private_key`, a secret; `public_key`, as in known_hosts."""

    private_key: pulumi.Output[str]
    public_key: pulumi.Output[str]

    def __init__(self, environment: str, node: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the key of the node called `node`; it stays the same as long as the stack has it."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        props = {"environment": environment, "node": node, "private_key": None, "public_key": None}
        super().__init__(_HostKeyProvider(), f"host-key-{node}", props, pulumi.ResourceOptions.merge(opts, secret))
