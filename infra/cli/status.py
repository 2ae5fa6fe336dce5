"""Whether an environment is well, for `./refsys status` and for `up`, which waits until it is."""

import time
from collections.abc import Callable

from refsys.infra.errors import UserError
from refsys.infra.health.examine import examine

WELL_SECONDS = 300

__all__ = ["examine", "wait_until_well"]


def wait_until_well(environment: str, note: Callable[[str], None]) -> None:
    """Wait until pods that were moved or started again are back; `note` is told what is not well meanwhile.

    Raises:
        UserError: with what is not well, and why.
    """
    deadline = time.monotonic() + WELL_SECONDS
    while not (report := examine(environment)).well:
        lacking = [f"{part.name}: {finding.what}" for part, finding in report.serious]
        lacking = lacking or [f"{part.name}: {part.seen}" for part in report.parts if not part.known]
        if time.monotonic() > deadline:
            raise UserError(
                "\n    ".join(
                    [f"environment {environment} is complete, but not well after {WELL_SECONDS} s:", *lacking]
                ),
                fix="; ".join(dict.fromkeys(finding.next_step for _, finding in report.serious))
                or f"./refsys status {environment} says more",
            )
        note(lacking[0])
        time.sleep(2)
