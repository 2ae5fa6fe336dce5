"""The first passwords of declared users, out of the stack's encrypted state."""

import os

from pulumi import automation

from refsys.infra import paths
from refsys.infra.cli import engine
from refsys.infra.errors import UserError


def first(environment: str, user: str) -> str:
    """The password that a user was made with.

    Raises:
        UserError: without such an environment or user.
    """
    os.environ.update(engine.variables())
    options = automation.LocalWorkspaceOptions(work_dir=str(paths.CHECKOUT))
    try:
        outputs = automation.select_stack(environment, work_dir=str(paths.CHECKOUT), opts=options).outputs()
    except automation.StackNotFoundError:
        raise UserError(f"environment {environment} is not up", fix=f"./refsys up {environment}") from None
    found = outputs["first_passwords"].value if "first_passwords" in outputs else {}
    if user not in found:
        known = ", ".join(sorted(found)) or "nobody"
        raise UserError(
            f"environment {environment} has no declared user {user} (it has {known})",
            fix=f"add the user to refsys:users in Pulumi.{environment}.yaml, then ./refsys up {environment}",
        )
    return str(found[user])
