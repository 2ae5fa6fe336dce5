"""The base of all components, and the digest that makes a change visible to Kubernetes."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

import pulumi

from refsys.platform.components.context import Context


class Component(pulumi.ComponentResource):
    """A component whose children use the environment's provider and wait for what it was told to wait for."""

    def __init__(
        self,
        kind: str,
        name: str,
        context: Context,
        opts: pulumi.ResourceOptions | None,
        *,
        package: str = "platform",
    ) -> None:
        """Register the component as `refsys:<package>:<kind>`."""
        inherited = pulumi.ResourceOptions(providers=[context.provider])
        super().__init__(f"refsys:{package}:{kind}", name, None, pulumi.ResourceOptions.merge(inherited, opts))
        # The engine does not hand a component's dependencies on to its children.
        self._after = list(cast("Sequence[pulumi.Resource]", opts.depends_on or ())) if opts else []

    def child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of a child of this component that also waits for `depends_on`."""
        return pulumi.ResourceOptions(parent=self, depends_on=[*self._after, *depends_on])


def digest(*parts: pulumi.Input[Any]) -> pulumi.Output[str]:
    """Return 16 hexadecimal digits that change when any of `parts` (JSON values) does.

    Not secret even when a part is: a truncated hash of a random password or a key gives nothing away,
    and an annotation must not make the whole pod unreadable in a preview.
    """

    def hashed(values: list[Any]) -> str:
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    return pulumi.Output.unsecret(pulumi.Output.all(*parts).apply(hashed))
