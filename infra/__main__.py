"""The Pulumi program: wires the environment's parts together."""

import pulumi

from refsys.infra.errors import UserError
from refsys.infra.patience import wait_patiently
from refsys.infra.program import environment_of_stack, wire

wait_patiently()
try:
    wire(environment_of_stack())
except UserError as error:
    raise pulumi.RunError(str(error)) from None
