"""Random passwords, made once and kept in the stack's encrypted state."""

import secrets

import pulumi
from pulumi.dynamic import Resource

from refsys.infra.managed import Managed, Properties


class _PasswordProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["purpose"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        return {"value": (old or {}).get("value") or secrets.token_urlsafe(24)}


class Password(Resource, module="refsys", name="Password"):
    """A random password of 192 bits."""

    value: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the password called `name`."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(
            _PasswordProvider(),
            name,
            {"purpose": name, "value": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def password(name: str, parent: pulumi.Resource | None = None) -> pulumi.Output[str]:
    """Return the random password called `name`, as a secret."""
    return Password(name, pulumi.ResourceOptions(parent=parent)).value
