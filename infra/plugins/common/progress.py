"""What the operator sees while the plugin works: lines and passing status texts in the engine's display."""

import logging
import time

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_STATUS_SECONDS = 3.0
"""The least time between two status texts of a resource."""
_log = logging.getLogger(__name__)


class Engine:
    """The engine's log service. What it does not take is dropped: progress must never fail an update."""

    def __init__(self, address: str | None) -> None:
        """Connect to the engine (`HOST:PORT`); without an address nothing is sent."""
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def warn(self, urn: str, message: str) -> None:
        """Show a warning that stays."""
        self._send(engine_pb2.LogRequest(severity=engine_pb2.WARNING, urn=urn, message=message))

    def status(self, urn: str, message: str) -> None:
        """Show a text beside the resource until the next one."""
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, urn=urn, message=message, ephemeral=True)
        self._send(request)

    def _send(self, request: engine_pb2.LogRequest) -> None:
        if self._stub is None:
            return
        try:
            self._stub.Log(request, timeout=5)
        except grpc.RpcError as error:
            _log.debug("the engine took no log message: %s", error)


class Progress:
    """The state of one operation on one resource."""

    def __init__(self, engine: Engine, urn: str) -> None:
        """Bind the texts to the resource."""
        self._engine = engine
        self._urn = urn
        self._last = ""
        self._next = 0.0

    def status(self, message: str) -> None:
        """Show what is waited for, when it changed, every few seconds at most."""
        now = time.monotonic()
        if message != self._last and now >= self._next:
            self._last, self._next = message, now + _STATUS_SECONDS
            self._engine.status(self._urn, message)

    def warn(self, message: str) -> None:
        """Show a warning."""
        self._engine.warn(self._urn, message)
