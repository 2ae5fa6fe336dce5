"""Whether what an `up` makes keeps the policies."""

import json
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from refsys.infra.cli.preview import look
from refsys.infra.environment import Environment
from refsys.infra.policies.judge import Violation, judge
from refsys.infra.policies.rules import RULES, Subject

console = Console(highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def policy(name: Name = "local", as_json: AsJson = False) -> None:
    """Compare what `up` would make with the policies; ends with 1 where it would be refused."""
    found = judge(Subject.of(Environment.load(name), look(name)))
    if as_json:
        typer.echo(json.dumps({"environment": name, "violations": [each.as_dict() for each in found]}, indent=2))
    else:
        for line in _lines(found):
            console.print(line)
    raise typer.Exit(1 if any(each.refused for each in found) else 0)


def _lines(found: list[Violation]) -> Iterator[Text]:
    for each in found:
        mark, style = ("✗ refused", "red") if each.refused else ("! warning", "yellow")
        mark, style = ("✓ waived ", "dim") if each.waived else (mark, style)
        yield Text.assemble((mark, style), "  ", (each.resource, "bold"), f" {each.what}")
        yield Text(f"      rule {each.rule}: {each.why}")
        yield Text(f"      {'reason' if each.waived else 'fix'}: {each.waived or each.fix}")
    if not any(each.refused for each in found):
        yield Text(f"all {len(RULES)} rules are kept", style="green")
