"""Base of the project's own resources: a Pulumi dynamic provider with one idempotent verb per direction."""

import logging
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from refsys.infra.orphan import end_with_engine

DRIFT = "drift"
"""Output that holds what `probe` found wrong with the live thing; it makes the next update mend it."""

Properties = dict[str, Any]

# The engine prints the error itself; gRPC's traceback beside it helps nobody.
logging.getLogger("grpc._server").disabled = True

end_with_engine()


class GoneError(Exception):
    """The live thing doesn't exist any more."""


class Managed(ResourceProvider, ABC):
    """A provider whose subclasses say what a thing is; create, update, refresh and diff follow from that.

    Inputs whose value is None are outputs: `apply` fills them.
    """

    serialize_as_secret_always = False

    replace_on: ClassVar[frozenset[str]] = frozenset()
    """Inputs that can't change in place. The old thing is deleted before the new one is made."""

    @abstractmethod
    def identity(self, props: Properties) -> str:
        """Name of the live thing, unique for its type."""

    @abstractmethod
    def apply(self, props: Properties, old: Properties | None) -> Properties:
        """Bring the live thing to what `props` say, whatever is there; return the outputs to keep."""

    def probe(self, props: Properties) -> str:
        """Say what is wrong with the live thing ("" for nothing), or raise `GoneError`."""
        return ""

    def remove(self, props: Properties) -> None:
        """Remove the live thing; nothing to remove is fine."""

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """Compare inputs field by field; a drift found by the last refresh counts as a change."""
        changed = {key for key, value in news.items() if value is not None and olds.get(key) != value}
        changed.discard("__provider")
        replaces = sorted(changed & self.replace_on)
        if olds.get(DRIFT):
            changed.add(DRIFT)
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=True)

    def create(self, props: Properties) -> CreateResult:
        """Make the thing."""
        return CreateResult(self.identity(props), self._applied(props, None))

    def update(self, _id: str, olds: Properties, news: Properties) -> UpdateResult:
        """Change or mend the thing in place."""
        return UpdateResult(self._applied(news, olds))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Look at the live thing."""
        try:
            drift = self.probe(props)
        except GoneError:
            return ReadResult("", {})
        kept = {key: value for key, value in props.items() if key != DRIFT}
        return ReadResult(id_, kept | ({DRIFT: drift} if drift else {}))

    def delete(self, _id: str, props: Properties) -> None:
        """Remove the thing."""
        self.remove(props)

    def _applied(self, props: Properties, old: Properties | None) -> Properties:
        given = {key: value for key, value in props.items() if key != DRIFT}
        return given | self.apply(given, old)
