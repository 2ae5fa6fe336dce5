"""An EDIP station: a folder over explicit FTPS by pyftpdlib; data connections need the control connection's session.

    python -m tests.means.ftps FOLDER --port 2121 --certificate server.pem --key server.key --rate 34000000

Faults on request as in `TreeFaults`.
"""

import argparse
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from tests.means.certificates import Authority, Certificate
from tests.means.faults import TreeFaults

logging.getLogger("pyftpdlib").addHandler(logging.NullHandler())  # else it writes to the terminal
USERNAME, PASSWORD = "station-user", "station-password"


class Ftps:
    """The station; use as a context manager. With `authority` it asks for client certificates."""

    def __init__(
        self,
        folder: Path,
        certificate: Certificate,
        *,
        authority: Authority | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        passive_ports: Sequence[int] | None = None,
        username: str = USERNAME,
        password: str = PASSWORD,
        tls13: bool = True,
    ) -> None:
        """Bind a port, a free one unless given; data connections have free ports, or one of `passive_ports`."""
        self.faults = faults = TreeFaults()
        self.commands = commands = []  # type: list[str]
        self.reused = reused = []  # type: list[bool]
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION)
        context.use_certificate_chain_file(str(certificate.certificate_file))
        context.use_privatekey_file(str(certificate.key_file))
        context.set_session_id(b"station")
        if authority:
            context.load_verify_locations(str(authority.ca_file))
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_args: bool(_args[4]))

        class Data(TLS_DTPHandler):  # type: ignore[misc]
            def handle_ssl_established(self) -> None:
                reused.append(bool(SSL._lib.SSL_session_reused(self.socket._ssl)))  # type: ignore[attr-defined]
                if not reused[-1]:
                    self.cmd_channel.respond("522 The data connection needs the TLS session of the control connection.")
                    self.close()

        class Files(AbstractedFS):  # type: ignore[misc]
            def open(self, filename: str, mode: str) -> Any:
                return _FaultyFile(super().open(filename, mode), faults, self.cmd_channel)

        class Control(TLS_FTPHandler):  # type: ignore[misc]
            def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
                commands.append(line if cmd != "PASS" else cmd)
                missing = (cmd == "MLSD" and faults.no_mlsd) or (cmd == "REST" and faults.no_rest)
                if missing:
                    self.respond("502 Command not implemented.")
                elif cmd in ("MLSD", "LIST", "RETR") and faults.happens(faults.errors):
                    self.respond("421 Fault on request.")
                    self.close_when_done()
                elif faults.down:
                    self.close()
                else:
                    super().pre_process_command(line, cmd, arg)

        authorizer = DummyAuthorizer()
        authorizer.add_user(username, password, str(folder), perm="elr")
        Control.authorizer, Control.abstracted_fs, Control.dtp_handler = authorizer, Files, Data
        Control.ssl_context = context
        Control.tls_control_required = Control.tls_data_required = True
        Control.use_sendfile = False
        Control.passive_ports = passive_ports
        self._server = FTPServer((host, port), Control, ioloop=IOLoop())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="ftps")
        self.port: int = self._server.address[1]
        self.url = f"ftps://{host}:{self.port}"

    def __enter__(self) -> Self:
        """Serve from a thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End serving and free the port."""
        self._stop.set()
        self._thread.join()
        self._server.close_all()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._server.ioloop.loop(timeout=0.05, blocking=False)


class _FaultyFile:
    """A file that is slow, or breaks off in the middle."""

    def __init__(self, file: BinaryIO, faults: TreeFaults, control: Any) -> None:
        self._file, self._faults, self._control = file, faults, control
        self._left = faults.cut_bytes if faults.cuts_now() else None

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._faults.pace(len(block))
        if self._left is not None and len(block) > self._left:
            self._control.respond("426 Cut on request.")
            raise OSError("cut on request")
        self._left = None if self._left is None else self._left - len(block)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def main() -> None:
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--rate", type=float, help="bytes a second of each download")
    arguments = parser.parse_args()
    certificate = Certificate(arguments.certificate, arguments.key)
    with Ftps(arguments.folder, certificate, host=arguments.host, port=arguments.port) as station:
        station.faults.rate = arguments.rate
        print(station.url, flush=True)  # noqa: T201  # the output of the command
        threading.Event().wait()


if __name__ == "__main__":
    main()
