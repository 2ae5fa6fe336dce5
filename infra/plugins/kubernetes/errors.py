"""What can go wrong, in words for the operator."""

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties


class UnreachableError(PluginError):
    """The API server gave no answer."""


class ApiError(PluginError):
    """The API server refused a request (`metav1.Status`)."""

    def __init__(self, status: int, reason: str, message: str, kind: str = "") -> None:
        """Keep the HTTP status, the machine-readable reason and the kind that the details name."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.kind = kind

    @property
    def not_found(self) -> bool:
        """Whether the object (or its kind, or its namespace) does not exist."""
        return self.status == 404

    @property
    def namespace_missing(self) -> bool:
        """Whether the object's namespace does not exist yet, or not any more."""
        gone = self.status == 404 and self.kind == "namespaces"
        return gone or (self.status == 403 and "because it is being terminated" in self.message)


class NoKindError(PluginError):
    """The cluster serves no such kind."""


class NotReadyError(PluginError):
    """The object exists, but did not get ready; `live` is its last known state."""

    def __init__(self, message: str, live: Properties) -> None:
        """Keep the object, which the engine stores so that the next update goes on from there."""
        super().__init__(message)
        self.live = live
