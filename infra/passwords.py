"""Random passwords, made once and kept in the stack's encrypted state."""

import base64
import hashlib
import secrets

import pulumi
from pulumi.dynamic import Resource

from refsys.infra import shell
from refsys.infra.managed import Managed, Properties


class _PasswordProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["purpose"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        return {"value": (old or {}).get("value") or secrets.token_urlsafe(24)}


class _KeyProvider(_PasswordProvider):
    def apply(self, props: Properties, old: Properties | None) -> Properties:
        return {"value": (old or {}).get("value") or base64.b64encode(secrets.token_bytes(32)).decode()}


class Password(Resource, module="refsys", name="Password"):
    """A random secret, as its provider makes it."""

    value: pulumi.Output[str]

    def __init__(self, name: str, provider: _PasswordProvider, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the secret called `name`."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(
            provider,
            name,
            {"purpose": name, "value": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def password(name: str, parent: pulumi.Resource | None = None) -> pulumi.Output[str]:
    """Return the random password called `name`, 192 bits, as a secret."""
    return Password(name, _PasswordProvider(), pulumi.ResourceOptions(parent=parent)).value


def encryption_key(name: str) -> pulumi.Output[str]:
    """Return the random key called `name`, 256 bits in base64, as a secret."""
    return Password(f"{name}-key", _KeyProvider()).value


def login_hash(text: str) -> str:
    """SHA-512 hash of a random password for /etc/shadow; the same each time, so that nothing changes for nothing."""
    salt = hashlib.sha256(text.encode()).hexdigest()[:16]
    return shell.run("openssl", "passwd", "-6", "-salt", f"rounds=65536${salt}", "-stdin", input_text=text).strip()
