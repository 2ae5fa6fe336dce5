"""Servers as plain processes on loopback: free ports, waiting until they answer, killing and ending them."""

import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """A TCP port of loopback that nobody has now, below those that the kernel gives to connections."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Server:
    """A process that can be killed and started again, with the same command, log and port."""

    command: Sequence[str | Path]
    log: Path
    ready: Callable[[], bool]
    seconds: float
    environment: Mapping[str, str] | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, once started."""
        assert self._process is not None
        return self._process

    def launch(self) -> None:
        """Start it, and do not wait."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command, stdout=output, stderr=subprocess.STDOUT, env=self.environment
            )

    def start(self) -> None:
        """Start it, and wait until it is ready; if that takes too long, the end of its log is the error."""
        self.launch()
        end = time.monotonic() + self.seconds
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                tail = self.log.read_text(errors="replace")[-3000:]
                code = self.process.returncode
                state = f"ended with {code}" if code is not None else "is not ready"
                raise RuntimeError(f"{self.command[0]} {state} after {self.seconds} s:\n{tail}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, and end it if it does not; return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def peak_mebibytes(self) -> float:
        """The most memory it has had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    *,
    ready: Callable[[], bool],
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A process until the context ends; it must become `ready` within some seconds, or the log is shown."""
    server = Server(command, log, ready, seconds, environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()
