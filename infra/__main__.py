"""The Pulumi program: wires the environment's parts together."""

import gc

# The program ends within a minute; looking for cycles would take a third of its processor time.
gc.disable()

import pulumi  # noqa: E402
from pulumi import log  # noqa: E402

from refsys.infra.errors import UserError  # noqa: E402
from refsys.infra.program import environment_of_stack, wire  # noqa: E402

# Five times for each resource the SDK would tell the engine what it does, and wait until that has taken note of it.
log.debug = lambda *_, **__: None
try:
    wire(environment_of_stack())
except UserError as error:
    raise pulumi.RunError(str(error)) from None
