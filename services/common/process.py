"""What every long-running process does at its start: logs, operations server, stop on signals."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from types import FrameType

from refsys.services.common import logs, tracing
from refsys.services.common.kafka import kafka_options
from refsys.services.common.operations import Health, serve_operations
from refsys.services.common.pod import pod_name
from refsys.services.common.settings import KafkaSettings, OperationsSettings, load
from refsys.services.common.trace_export import exporting


@dataclass(frozen=True)
class Process:
    """A running process: its name, its health, and the event that asks it to stop."""

    name: str
    health: Health
    stop: threading.Event
    operations: ThreadingHTTPServer


def run_together(process: Process, *targets: Callable[[], None]) -> None:
    """Run each target in a thread of its own until all end; one that fails ends the process.

    Raises:
        Exception: what the first failing target raised.
    """
    failures: list[Exception] = []

    def run(target: Callable[[], None]) -> None:
        try:
            target()
        except Exception as error:
            failures.append(error)
        finally:
            process.stop.set()

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def _stop(number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    return stop


def start(name: str, *, traced: bool = True) -> Process:
    """Configure logs and traces, serve probes and metrics, and listen for signals."""
    logs.configure(name)
    if traced and "REFSYS_KAFKA_BOOTSTRAP" in os.environ:
        tracing.configure(name, pod_name(), exporting(kafka_options(load(KafkaSettings), name)))
    health = Health()
    operations = serve_operations(load(OperationsSettings), health)
    process = Process(name, health, stop_on_signals(), operations)
    logs.get_logger().info("process starts", operations_port=operations.server_port)
    return process
