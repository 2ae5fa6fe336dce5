"""The result of a readiness check."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.objects import Kind


class Reader(Protocol):
    """Reads other objects of the cluster; what does not exist is `None` or absent."""

    def get(self, kind: Kind, namespace: str | None, name: str) -> Properties | None:
        """Read an object."""

    def list(self, kind: Kind, namespace: str | None, **query: str) -> list[Properties]:
        """Read objects by `labelSelector` or `fieldSelector`."""

    def log_tail(self, namespace: str, pod: str, container: str, previous: bool) -> str:
        """Return the last lines a container wrote, empty where there are none."""


@dataclass(frozen=True)
class State:
    """Ready, or what is still missing; `failed` when waiting is of no use."""

    ready: bool
    missing: str = ""
    failed: bool = False


READY = State(ready=True)


def waiting(missing: str) -> State:
    """Not yet."""
    return State(ready=False, missing=missing)


def failed(reason: str) -> State:
    """Not any more."""
    return State(ready=False, missing=reason, failed=True)


Check = Callable[[Properties, Reader], State]


def condition(live: Properties, name: str) -> dict[str, Any]:
    """Return a condition of `status.conditions`, empty where it is not there."""
    conditions = status_of(live).get("conditions") or []
    return next((item for item in conditions if item.get("type") == name), {})


def status_of(live: Properties) -> Properties:
    """Return the status, empty where it is not there."""
    return live.get("status") or {}


def observed(live: Properties) -> bool:
    """Tell whether the controller has seen the present specification."""
    return int(status_of(live).get("observedGeneration") or 0) >= int(live["metadata"].get("generation") or 0)


def reason(item: dict[str, Any]) -> str:
    """Write reason and message of a condition or container state."""
    return ": ".join(text for text in (item.get("reason"), item.get("message")) if text)
