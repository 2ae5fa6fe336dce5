"""The virus scan: clamd's INSTREAM command over TCP (clamd(8)), streamed in bounded memory."""

import socket
import struct
from collections.abc import Iterable, Iterator

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 900.0  # clamd scans after the last byte; its own limit is shorter
ANSWER_BYTES = 4096


class ScannerError(Exception):
    """There is no verdict: clamd does not answer, or answers with an error. Trying again later may help."""


class InfectedError(Exception):
    """A virus was found; the message names it."""


class Scanner:
    """One clamd."""

    def __init__(self, host: str, port: int) -> None:
        """Nothing is requested before the first scan."""
        self._address = (host, port)

    def scan(self, chunks: Iterable[bytes]) -> str | None:
        """The name of what was found in the bytes, None if nothing was.

        Raises:
            ScannerError: without a verdict of clamd.
        """
        try:
            for _ in self.passing(chunks):
                pass
        except InfectedError as error:
            return str(error)
        return None

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes as they come, while clamd looks at them.

        Raises:
            InfectedError: at their end, if something was found.
            ScannerError: without a verdict of clamd.
        """
        with self._connection() as connection:
            taken = self._send(connection, b"zINSTREAM\0")
            for chunk in chunks:
                if chunk and taken:  # an empty one would end the stream
                    taken = self._send(connection, struct.pack(">I", len(chunk)) + chunk)
                yield chunk
            if taken:
                self._send(connection, struct.pack(">I", 0))
            try:
                answer = _answer(connection)
            except OSError as error:
                raise self._silent(error) from error
        if found := _verdict(answer):
            raise InfectedError(found)

    def ask(self, command: str) -> str:
        """Return clamd's answer to a command without arguments (clamd(8)).

        Raises:
            ScannerError: clamd does not answer.
        """
        with self._connection() as connection:
            connection.settimeout(CONNECT_SECONDS)
            self._send(connection, b"z%s\0" % command.encode())
            try:
                answer = _answer(connection)
            except OSError as error:
                raise self._silent(error) from error
        if not answer:
            raise ScannerError(f"clamd does not answer {command}")
        return answer

    def _connection(self) -> socket.socket:
        try:
            connection = socket.create_connection(self._address, CONNECT_SECONDS)
        except OSError as error:
            raise self._silent(error) from error
        connection.settimeout(ANSWER_SECONDS)
        return connection

    def _send(self, connection: socket.socket, data: bytes) -> bool:
        """Whether clamd took it; where it refuses the stream, its answer says why."""
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            raise self._silent(error) from error
        return True

    def _silent(self, error: OSError) -> ScannerError:
        return ScannerError(f"clamd at {self._address[0]}:{self._address[1]} does not answer: {error}")


def _answer(connection: socket.socket) -> str:
    received = b""
    while b"\0" not in received and len(received) < ANSWER_BYTES and (more := connection.recv(ANSWER_BYTES)):
        received += more
    return received.partition(b"\0")[0].decode("utf-8", "replace") if b"\0" in received else ""


def _verdict(answer: str) -> str | None:
    if answer == "stream: OK":
        return None
    if answer.startswith("stream: ") and answer.endswith(" FOUND"):
        return answer.removeprefix("stream: ").removesuffix(" FOUND")
    raise ScannerError(f"clamd gave no verdict: {answer[:200] or 'the connection was closed'}")
