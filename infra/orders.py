"""On-demand orders as an outside client places and follows them: OGC API - Processes (docs/on-demand.md)."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from refsys.infra.errors import UserError
from refsys.infra.operators import AwayError, Operators

ROOT = "/ogc"
POLL_SECONDS = 2.0
AWAY_SECONDS = 300.0
"""How long an order is followed while nothing answers."""
OPEN = ("accepted", "running")
GOOD = "successful"

Order = dict[str, Any]
"""An order as the API tells of it (`statusInfo`)."""


class Orders(Operators):
    """A session with the on-demand production of one environment."""

    url, name = "ondemand_url", "the on-demand production"
    role = "a user of a group with the role ondemand-user may (docs/security/identity.md)"

    def processes(self) -> list[dict[str, Any]]:
        """What can be ordered."""
        found: list[dict[str, Any]] = self.get(f"{ROOT}/processes")["processes"]
        return found

    def process(self, name: str) -> dict[str, Any]:
        """What can be ordered, with its inputs."""
        found: dict[str, Any] = self.get(f"{ROOT}/processes/{name}")
        return found

    def place(self, process: str, inputs: Mapping[str, Any], key: str | None = None) -> Order:
        """Place an order; the same `key` again is the same order."""
        headers = {"Idempotency-Key": key} if key else {}
        path = f"{ROOT}/processes/{process}/execution"
        found: Order = self._asked("POST", path, json={"inputs": dict(inputs)}, headers=headers).json()
        return found

    def orders(self, process: str | None = None, count: int = 50) -> list[Order]:
        """The orders placed last."""
        found: list[Order] = self.get(f"{ROOT}/jobs", processID=process, limit=count)["jobs"]
        return found

    def order(self, order: str) -> Order:
        """How far an order is, with its production jobs (`jobs`)."""
        found: Order = self.get(f"{ROOT}/jobs/{order}")
        return found

    def results(self, order: str) -> list[dict[str, str]]:
        """Links to the products of an order that ended well."""
        found: list[dict[str, str]] = self.get(f"{ROOT}/jobs/{order}/results")["products"]
        return found

    def dismiss(self, order: str) -> Order:
        """End what of an order has not ended."""
        found: Order = self._asked("DELETE", f"{ROOT}/jobs/{order}").json()
        return found

    def follow(self, order: str, timeout: float | None = None, tell: Callable[[Order], None] = lambda _: None) -> Order:
        """Wait until an order has ended, and tell how far it is as often as that changes.

        Raises:
            UserError: it has not ended after `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        away, before = time.monotonic() + AWAY_SECONDS, None
        while True:
            try:
                found = self.order(order)
                away = time.monotonic() + AWAY_SECONDS
                if (now := (found["status"], found["progress"], found["message"])) != before:
                    before = now
                    tell(found)
                if found["status"] not in OPEN:
                    return found
            except AwayError:
                if time.monotonic() > away:
                    raise
            if end is not None and time.monotonic() >= end:
                raise UserError(
                    f"order {order} has not ended after {timeout:g} s", fix="wait longer: ./refsys order follow"
                )
            time.sleep(POLL_SECONDS)
