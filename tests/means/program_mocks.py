"""The program under the engine's mocks: what was declared is kept."""

from typing import Any

import pulumi
from pulumi.runtime import mocks

from refsys.infra import program
from refsys.infra.environment import Environment

OUTPUTS = (
    "certificate_pem",
    "key_pem",
    "value",
    "instance",
    "host_key",
    "public_key",
    "private_key",
    "reference",
    "path",
    "private_key_pem",
    "public_key_pem",
    "address",
    "vipPortId",
)


class Recorder(mocks.Mocks):
    """Answers as an engine would, and keeps what was declared."""

    def __init__(self) -> None:
        self.made: list[mocks.MockResourceArgs] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append(args)
        outputs = {key: f"<{args.name}.{key}>" for key in OUTPUTS} | args.inputs
        if args.typ.endswith(":Playbook"):
            outputs["results"] = '{"kubeconfig": "apiVersion: v1"}'
        if args.typ.endswith(":SignedImages"):
            outputs["allowed"] = {"0" * 64: "registry.local.refsys.test:5000/refsys/services"}
        return args.name, outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return {}, []

    def of(self, kind: str) -> list[mocks.MockResourceArgs]:
        return [args for args in self.made if args.typ.endswith(f":{kind}")]


def declare(environment: Environment) -> None:
    """Run the program for an environment."""

    @pulumi.runtime.test  # type: ignore[untyped-decorator]  # Pulumi gives it no types
    def declared() -> None:
        program.wire(environment)

    declared()
