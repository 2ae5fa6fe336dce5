"""Resources that others made become the stack's own: `pulumi import` of what the program declares."""

from typing import Annotated

import typer
from rich.console import Console

from refsys.infra.cli import tools
from refsys.infra.cli.locks import exclusive
from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps
from refsys.infra.environment import Environment

console = Console(highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]


def adopt(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="Type, as `preview --json` shows what would be created.")],
    resource: Annotated[str, typer.Argument(metavar="NAME", help="Name in the program.")],
    identity: Annotated[str, typer.Argument(metavar="ID", help="By which the cloud or the cluster knows it.")],
    name: Name = "local",
) -> None:
    """Take a resource that exists already as the one that `up` would create; it is not touched."""
    Environment.load(name)
    with exclusive(name), Steps(console) as steps:
        tools.Building(steps, wanted=tools.named(tools.ENGINE)).engine_ready()
        with steps.step("look at everything that exists"):
            stack = Stack(name, steps)
            wanted = stack.importable()
        parts = wanted.of(kind, resource, identity)
        stack.backup("import")
        with steps.step(f"import {kind} {resource}"):
            stack.adopt(parts)
    console.print(f"next: ./refsys preview {name} says what differs, ./refsys up {name} mends it")
