"""The process that the engine starts: one gRPC server, for as long as the engine lives."""

import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

_WORKERS = 16
_MESSAGE_BYTES = 400 * 1024 * 1024
_PARENT_SECONDS = 5.0


def serve(provider: provider_pb2_grpc.ResourceProviderServicer, *, workers: int = _WORKERS) -> None:
    """Serve on a free port of the loopback, print the port on standard output, and stay as long as the engine."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=workers + 4),  # the rest keeps Cancel from waiting behind the others
        options=[("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 the engine reads it
    stopped = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):  # the engine's way to say that it needs the plugin no more
        signal.signal(ending, lambda *_: stopped.set())
    engine = os.getppid()
    while not stopped.wait(_PARENT_SECONDS) and os.getppid() == engine:
        pass  # an engine that was killed can't end the plugin, so the plugin looks for it
    server.stop(grace=1).wait()
