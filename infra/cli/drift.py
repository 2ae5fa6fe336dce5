"""What differs between an environment and its config, in the cloud, in the cluster and on its nodes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from refsys.infra import paths
from refsys.infra.cli import tools
from refsys.infra.cli.locks import exclusive
from refsys.infra.cli.preview import CHANGES
from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps
from refsys.infra.doctor import known
from refsys.infra.doctor.masks import Masks
from refsys.infra.drift import nodes
from refsys.infra.drift.nodes import Finding
from refsys.infra.environment import Environment
from refsys.infra.plan import show
from refsys.infra.plan.changes import Change, Plan

PLAYBOOK = "refsys:Playbook"
DIFF = {"+": "green", "-": "red", "@": "cyan"}
UNKNOWN = 1
"""Exit code: something could not be examined, and nothing differs elsewhere."""

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True)

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Drift:
    """What was found."""

    environment: str
    outside: tuple[Change, ...]
    """Resources that somebody else changed or removed."""
    waiting: tuple[Change, ...]
    """Changes of the config or of the distribution that no `up` has brought out yet."""
    on_nodes: tuple[Finding, ...]

    @property
    def code(self) -> int:
        """The exit code."""
        differs = self.outside or self.waiting or any(finding.outcome == "changed" for finding in self.on_nodes)
        return CHANGES if differs else UNKNOWN if self.on_nodes else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "environment": self.environment,
            "drift": self.code == CHANGES,
            "outside": [show.change_as_json(change) for change in self.outside],
            "not_rolled_out": [show.change_as_json(change) for change in self.waiting],
            "nodes": [finding.as_dict() for finding in self.on_nodes],
        }

    def lines(self) -> Iterator[Text]:
        """For people: what, where, and the next step."""
        name = self.environment
        if self.outside:
            yield Text("changed or removed by somebody else", style="bold")
            for change in self.outside:
                yield from show.change_lines(change)
            yield _next(f"./refsys up {name} mends it")
        if self.waiting:
            yield Text("not rolled out yet", style="bold")
            for change in self.waiting:
                yield from show.change_lines(change)
            yield _next(f"./refsys preview {name} says more, ./refsys up {name} rolls it out")
        if self.on_nodes:
            yield Text("nodes", style="bold")
            for finding in self.on_nodes:
                yield from _finding_lines(finding)
            yield _next(f"./refsys drift {name} --mend runs these playbooks on these nodes")
        if not self.code:
            yield Text(f"no drift: environment {name} is as its config says", style="green")


def drift(
    name: Name = "local",
    as_json: AsJson = False,
    mend: Annotated[bool, typer.Option("--mend", help="Run the playbooks where nodes differ.")] = False,
) -> None:
    """Say what differs from the config in the cloud, in the cluster and on nodes; ends with 3 where anything does."""
    Environment.load(name)
    paths.file_of_running(name, "inventory.yml")
    with exclusive(name, reading=not mend), Steps(errors) as steps:
        tools.Building(steps, wanted=tools.named(tools.ENGINE)).engine_ready()
        with steps.step("read the state"):
            stack = Stack(name, steps)
        found = _look(stack, steps)
        if mend and found.on_nodes:
            with steps.step("run the playbooks on nodes that differ"):
                nodes.mend(name, found.on_nodes, stack.playbook_secrets())
            found = _look(stack, steps)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for line in found.lines():
            console.print(line)
    raise typer.Exit(found.code)


def _look(stack: Stack, steps: Steps) -> Drift:
    with steps.step("look at everything that exists"):
        plan = stack.preview()
    with steps.step("ask the playbooks what they would change"):
        secrets = stack.playbook_secrets()
        masks = Masks({*secrets.values(), *known.of_state(known.state(stack.environment))})
        findings = nodes.examine(stack.environment, _playbooks(plan), secrets, masks)
    # What an `up` would leave alone differs in nothing that the config says.
    mended = {change.resource.urn for change in plan.changes}
    outside = tuple(change for change in plan.drifted if change.resource.urn in mended)
    told = {change.resource.urn for change in outside}
    waiting = tuple(change for change in plan.changes if change.resource.urn not in told)
    return Drift(stack.environment, outside, waiting, tuple(findings))


def _playbooks(plan: Plan) -> list[str]:
    return [str(resource.inputs["playbook"]) for resource in plan.before if resource.kind == PLAYBOOK]


def _finding_lines(finding: Finding) -> Iterator[Text]:
    mark, style = ("~", "yellow") if finding.outcome == "changed" else ("?", "red")
    where = f"playbook {finding.playbook}, {finding.place}"
    yield Text.assemble("  ", (f"{mark} {finding.node}", style), f"  {finding.task}  ", (where, "dim"))
    if finding.outcome != "changed":
        yield Text(f"      {finding.outcome}: {finding.message}")
    for line in finding.diff:
        yield Text(f"      {line}", style=DIFF.get(line[:1], "dim"))


def _next(text: str) -> Text:
    return Text.assemble(("  next: ", "bold"), text, "\n")
