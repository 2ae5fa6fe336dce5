"""The INSTREAM protocol, spoken to a server that records it."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from refsys.services.common.virus_scan import Scanner, ScannerError


def read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def stream(connection: socket.socket) -> list[bytes]:
    """The chunks of one INSTREAM command."""
    assert read(connection, 10) == b"zINSTREAM\0"
    chunks = []
    while size := struct.unpack(">I", read(connection, 4))[0]:
        chunks.append(read(connection, size))
    return chunks


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_the_bytes_are_framed_and_the_stream_is_ended() -> None:
    got: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        got.extend(stream(connection))
        connection.sendall(b"stream: ")
        connection.sendall(b"OK\0")  # in pieces, as TCP may

    with serving(answer) as port:
        assert Scanner("127.0.0.1", port).scan([b"abc", b"", b"d" * 100_000]) is None
    assert got == [b"abc", b"d" * 100_000]


def test_what_is_found_is_named() -> None:
    def answer(connection: socket.socket) -> None:
        stream(connection)
        connection.sendall(b"stream: Eicar-Test-Signature FOUND\0")

    with serving(answer) as port:
        assert Scanner("127.0.0.1", port).scan([b"x"]) == "Eicar-Test-Signature"


@pytest.mark.parametrize(
    "said", [b"", b"stream: OK", b"INSTREAM size limit exceeded. ERROR\0", b"stream: OK FOUND ERROR\0", b"\0"]
)
def test_anything_else_is_no_verdict(said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        stream(connection)
        connection.sendall(said)

    with serving(answer) as port, pytest.raises(ScannerError, match="no verdict"):
        Scanner("127.0.0.1", port).scan([b"x"])


def test_a_connection_that_breaks_is_no_verdict() -> None:
    def answer(connection: socket.socket) -> None:
        read(connection, 10)

    with serving(answer) as port, pytest.raises(ScannerError):
        Scanner("127.0.0.1", port).scan(b"x" * 2**20 for _ in range(64))


def test_nobody_there_is_no_verdict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ScannerError, match="does not answer"):
        Scanner("127.0.0.1", port).scan([b"x"])
