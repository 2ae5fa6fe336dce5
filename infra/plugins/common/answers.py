"""The protocol's answers: differences, errors."""

import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeVar

import grpc
from pulumi.runtime.proto import provider_pb2, status_pb2

from refsys.infra.plugins.common.differences import Change, Difference
from refsys.infra.plugins.common.errors import PluginError, redact
from refsys.infra.plugins.common.paths import format_path
from refsys.infra.plugins.common.values import decode, secret_texts

_log = logging.getLogger(__name__)


class InitializationFailed(Exception):  # noqa: N818 the protocol's name
    """The object exists but is not ready: the engine stores `state` and goes on from it next time."""

    def __init__(self, message: str, state: Any) -> None:
        """Keep the message and the protocol's `ErrorResourceInitFailed`."""
        super().__init__(message)
        self.state = state


class _Status(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


Rpc = TypeVar("Rpc", bound=Callable[..., Any])


def answering_errors(method: Rpc) -> Rpc:
    """Turn exceptions into the protocol's errors, with no secret of the request in their text."""

    @functools.wraps(method)
    def call(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        def hidden(message: str) -> str:
            fields = ("properties", "news", "olds", "inputs", "old_inputs", "args")
            sent = [getattr(request, field) for field in fields if field in request.DESCRIPTOR.fields_by_name]
            return redact(message, frozenset().union(*(secret_texts(decode(struct)) for struct in sent)))

        try:
            return method(self, request, context)
        except InitializationFailed as failure:
            _abort_initialization(context, hidden(str(failure)), failure.state)
        except PluginError as error:
            context.abort(grpc.StatusCode.UNKNOWN, hidden(str(error)))
        except Exception as error:
            _log.exception("%s failed", method.__name__)
            context.abort(grpc.StatusCode.INTERNAL, hidden(f"{method.__name__}: {type(error).__name__}: {error}"))

    return call  # type: ignore[return-value]


def _abort_initialization(context: grpc.ServicerContext, message: str, state: Any) -> NoReturn:
    state.reasons.append(message)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    status.details.add().Pack(state)
    trailer = (("grpc-status-details-bin", status.SerializeToString()),)
    context.abort_with_status(_Status(grpc.StatusCode.UNKNOWN, message, trailer))
    raise AssertionError("abort_with_status returned")


def changes(changed: bool) -> Any:
    """Say whether anything changed."""
    changes = provider_pb2.DiffResponse.DiffChanges
    return changes.DIFF_SOME if changed else changes.DIFF_NONE


def diff_response(difference: Difference) -> provider_pb2.DiffResponse:
    """Write a difference as detailed diff."""
    kinds = provider_pb2.PropertyDiff.Kind
    table = {
        (Change.ADD, False): kinds.ADD,
        (Change.ADD, True): kinds.ADD_REPLACE,
        (Change.DELETE, False): kinds.DELETE,
        (Change.DELETE, True): kinds.DELETE_REPLACE,
        (Change.UPDATE, False): kinds.UPDATE,
        (Change.UPDATE, True): kinds.UPDATE_REPLACE,
    }
    return provider_pb2.DiffResponse(
        changes=changes(bool(difference.changes)),
        diffs=list(dict.fromkeys(str(item.path[0]) for item in difference.changes)),
        replaces=list(dict.fromkeys(str(item.path[0]) for item in difference.changes if item.replaces)),
        deleteBeforeReplace=difference.delete_first,
        detailedDiff={
            format_path(item.path): provider_pb2.PropertyDiff(kind=table[item.change, item.replaces], inputDiff=True)
            for item in difference.changes
        },
        hasDetailedDiff=True,
    )
