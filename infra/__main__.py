"""The Pulumi program: wires the environment's parts together."""

import gc

import pulumi

from refsys.infra.errors import UserError
from refsys.infra.patience import wait_patiently
from refsys.infra.program import environment_of_stack, wire

# The program ends within a minute; looking for cycles would take a third of its processor time.
gc.disable()
wait_patiently()
try:
    wire(environment_of_stack())
except UserError as error:
    raise pulumi.RunError(str(error)) from None
