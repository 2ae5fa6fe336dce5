"""Keep the waiting program from burning a core.

While resources are being made, `pulumi.runtime.stack.wait_for_rpcs` (3.190.0) polls the outstanding outputs with
`asyncio.sleep(0)`, which keeps one core busy for as long as the slowest resource takes: half of a small machine, taken
from the very work that it waits for.
"""

import asyncio
from types import ModuleType

from pulumi.runtime import stack

PAUSE_SECONDS = 0.02


class _PatientAsyncio(ModuleType):
    """`asyncio` whose `sleep(0)` really pauses."""

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep, but not less than the pause."""
        await asyncio.sleep(max(seconds, PAUSE_SECONDS))


def wait_patiently() -> None:
    """Give the runtime's polling a pause."""
    vars(stack)["asyncio"] = _PatientAsyncio("asyncio")
