"""What an `up` would do, on the terminal or as JSON."""

import json
from typing import Annotated

import typer
from rich.console import Console

from refsys.infra.cli import tools
from refsys.infra.cli.locks import exclusive
from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps
from refsys.infra.environment import Environment
from refsys.infra.plan import show
from refsys.infra.plan.changes import Plan
from refsys.infra.plan.cost import Costs

CHANGES = 3
"""Exit code: there are changes, where none was expected."""

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True)

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def preview(
    name: Name = "local",
    as_json: AsJson = False,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help=f"End with {CHANGES} where anything would change.")
    ] = False,
) -> None:
    """Say what `up` would create, change, replace and delete, and why; nothing is touched."""
    plan = look(name)
    costs = Costs.of(Environment.load(name), plan)
    if as_json:
        typer.echo(json.dumps({"environment": name, **show.as_json(plan), "cost": costs.as_json()}, indent=2))
    else:
        for line in (*show.lines(plan), *costs.lines()):
            console.print(line)
    raise typer.Exit(CHANGES if expect_no_changes and plan.changes else 0)


def look(name: str) -> Plan:
    """The environment's plan; progress goes to where errors go."""
    Environment.load(name)
    with exclusive(name, reading=True), Steps(errors) as steps:
        tools.Building(steps, wanted=tools.named(tools.ENGINE)).engine_ready()
        with steps.step("look at everything that exists"):
            stack = Stack(name, steps)
            try:
                return stack.preview()
            finally:
                if stack.made:  # of an environment that is not there, nothing is left
                    stack.forget()
