"""What can go wrong between the plugin and the cloud, in words for the operator."""

from collections.abc import Callable

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties

_FIXES: tuple[tuple[Callable[[int, str], bool], str], ...] = (
    (
        lambda status, reason: status == 401,
        "check the credentials: the entry in clouds.yaml or the application credential, and whether it has expired",
    ),
    (
        lambda status, reason: status == 413 or "quota" in reason,
        "raise the project's quota (see it: openstack quota show --usage), or ask for fewer or smaller resources",
    ),
    (
        lambda status, reason: "overlap" in reason,
        "choose another range for the network; openstack subnet list shows those that are taken",
    ),
    (
        lambda status, reason: "no valid host" in reason,
        "no machine of the cloud has room for it: choose a smaller flavor, another availability zone, or a softer "
        "server group policy",
    ),
    (
        lambda status, reason: any(f"already {word}" in reason for word in ("exists", "in use", "allocated")),
        "another one has this name or address: choose another, remove that one, or take it over with pulumi import",
    ),
    (
        lambda status, reason: "in use" in reason,
        "something that is not part of this stack uses it: remove that first",
    ),
    (
        lambda status, reason: status == 403,
        "let the project's administrator give the user the role that this needs",
    ),
    (
        lambda status, reason: status == 404 or "can not find" in reason,
        "what it refers to does not exist in this project and region: correct its name or id",
    ),
)


class CloudError(PluginError):
    """The cloud refused a request; the message is its own reason."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the HTTP status and the cloud's words."""
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def advised(self) -> str:
        """The reason with what can be done about it."""
        return with_fix(self.reason, self.status)


class UnreachableError(PluginError):
    """The cloud cannot be reached: nothing was asked of it."""


class NoAnswerError(PluginError):
    """A request was sent and not answered: it may have been carried out or not."""


class BrokenError(PluginError):
    """The object is beyond use and has to be made anew, although the cloud does not say so."""


class NotReadyError(PluginError):
    """The object exists, but did not get ready."""

    def __init__(self, message: str, identity: str, live: Properties, *, broken: bool) -> None:
        """Keep the object, which the engine stores: the next update goes on from there, or makes a broken one anew."""
        super().__init__(message)
        self.identity = identity
        self.live = live
        self.broken = broken


def with_fix(reason: str, status: int = 0) -> str:
    """A reason of the cloud, with the remedy where one is known."""
    lowered = reason.lower()
    fix = next((text for fits, text in _FIXES if fits(status, lowered)), "")
    told = f"{reason.rstrip('.')} (HTTP {status})" if status else reason
    return f"{told}\n  fix: {fix}" if fix else told
