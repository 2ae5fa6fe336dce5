"""What an operation of the engine would make, compared with the policies before anything is touched."""

from collections.abc import Collection

from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps
from refsys.infra.environment import Environment
from refsys.infra.plan.changes import Plan
from refsys.infra.policies import judge
from refsys.infra.policies.rules import Subject


def compare(
    environment: Environment,
    stack: Stack,
    steps: Steps,
    *,
    unprotected: bool = False,
    replace: Collection[str] = (),
    exclude: Collection[str] = (),
) -> Plan | None:
    """Show the warnings and return the plan; None where the environment is not governed. For the rest see `Stack.up`.

    Raises:
        UserError: names each rule that would be broken, and the fix.
    """
    if not judge.governed(environment):
        return None
    with steps.step("compare what would change with the policies"):
        plan = stack.preview(replace=replace, exclude=exclude)
    for warning in judge.require(Subject.of(environment, plan, unprotected=unprotected)):
        steps.console.print(f"[yellow]warning:[/] {warning}", highlight=False)
    return plan
