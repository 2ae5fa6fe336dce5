"""A station: serves a folder of auxiliary files as AUXIP (OData over HTTP or HTTPS) with a token end point.

    python -m tests.means.station FOLDER --port 8443 --certificate server.pem --key server.key

Files that appear in the folder are published at the next listing. Faults are made on request, see `Faults`.
"""

import argparse
import hashlib
import json
import re
import secrets
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlencode, urlsplit

BLOCK_BYTES = 2**20
PATH = "/odata/v1"
_DATE_TERM = re.compile(r"PublicationDate (ge|gt|le|lt) (\S+)")
_NAME_TERM = re.compile(r"(startswith|contains|endswith)\(Name, ?'([^']*)'\)")
_EQUAL_TERM = re.compile(r"Name eq '([^']*)'")


@dataclass
class Faults:
    """What goes wrong, on request; may be changed while the station runs. Probabilities are 0 to 1."""

    errors: float = 0  # of HTTP 500 for a listing or a download
    cuts: float = 0  # of a download that ends in the middle
    wrong_checksums: set[str] = field(default_factory=set)  # names announced with a false MD5
    extra_names: list[str] = field(default_factory=list)  # names listed that are no files, such as `../x`
    slow_seconds: float = 0  # before each block of a download
    rate: float | None = None  # bytes a second of each download
    ignore_range: bool = False
    down: bool = False  # every connection is closed without an answer
    seed: int = 1

    def __post_init__(self) -> None:
        """The same seed, the same faults."""
        self._random = Random(self.seed)  # noqa: S311  # no secret
        self._lock = threading.Lock()

    def happens(self, probability: float) -> bool:
        """Whether a fault of some probability happens now."""
        if probability <= 0:
            return False
        with self._lock:
            return self._random.random() < probability

    def pace(self, size: int) -> None:
        """Take the time that a block of `size` bytes has to take."""
        time.sleep(self.slow_seconds + (size / self.rate if self.rate else 0))


@dataclass(frozen=True)
class Entry:
    """A published file."""

    id: str
    name: str
    path: Path | None
    size: int
    checksums: dict[str, str]
    published: datetime


class Station:
    """The station; use as a context manager, or `start()` and `stop()`."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        username: str = "station-user",
        password: str = "station-password",  # noqa: S107  # of a test means
        client_id: str = "station-client",
        token_seconds: int = 600,
        page_limit: int = 1000,
        next_link: bool = True,
        faults: Faults | None = None,
    ) -> None:
        """Bind the port; 0 takes a free one. Without a certificate it speaks plain HTTP."""
        self.folder = folder
        self.username, self.password, self.client_id = username, password, client_id
        self.token_seconds, self.page_limit, self.next_link = token_seconds, page_limit, next_link
        self.faults = faults or Faults()
        self.requests: list[str] = []
        self.accepted: list[str] = []  # those with a valid token
        self._entries: dict[str, Entry] = {}
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        self._last = datetime.now(UTC)
        handler = type("Handler", (self.handler(),), {"station": self})
        self._server = _Server((host, port), handler)
        self._context: ssl.SSLContext | None = None
        if certificate_file:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate_file, key_file)
            self._server.socket = self._context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if certificate_file else "http"
        self.port: int = self._server.server_port
        self.base = f"{scheme}://{host}:{self.port}"
        self.url = self.base + PATH
        self.token_url = self.base + "/token"

    @classmethod
    def handler(cls) -> "type[Handler]":
        """What answers the requests."""
        return Handler

    def start(self) -> Self:
        """Serve from a thread."""
        self.publish()
        threading.Thread(target=self._server.serve_forever, name="station", daemon=True).start()
        return self

    def stop(self) -> None:
        """End serving and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def publish(self) -> list[Entry]:
        """Publish what is new in the folder; returns all entries, oldest first."""
        with self._lock:
            names = {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}
            for name, path in names.items():
                if name not in self._entries and not name.startswith("."):
                    self._add(name, path)
            for name in self.faults.extra_names:
                if name not in self._entries:
                    self._add(name, None)
            return sorted(self._entries.values(), key=lambda entry: entry.published)

    def republish(self, name: str) -> None:
        """Publish a file again under a new Id, with whatever content it has now."""
        with self._lock:
            self._add(name, self.folder / name, again=True)

    def _add(self, name: str, path: Path | None, again: bool = False) -> None:
        checksums, size = _digests(path) if path else ({"MD5": "0" * 32}, 1)
        if name in self.faults.wrong_checksums:
            checksums = {key: "0" * len(value) for key, value in checksums.items()}
        # Milliseconds, as clients see them; each publication later than the one before.
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last = max(now, self._last.replace(microsecond=self._last.microsecond // 1000 * 1000) + _MS)
        seed = f"{name}/{self._last}" if again else f"{name}/{checksums['MD5']}"
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, seed))
        self._entries[name] = Entry(identifier, name, path, size, checksums, self._last)

    def entry(self, identifier: str) -> Entry | None:
        """The entry of an Id."""
        return next((entry for entry in list(self._entries.values()) if entry.id == identifier), None)

    def new_token(self) -> str:
        """A token, valid for `token_seconds`."""
        token = secrets.token_urlsafe(24)
        self._tokens[token] = time.monotonic() + self.token_seconds
        return token

    def accepts(self, token: str) -> bool:
        """Whether a token was issued here and has not ended."""
        return time.monotonic() < self._tokens.get(token, 0)

    def forget_tokens(self) -> None:
        """All tokens become invalid, as after a restart."""
        self._tokens.clear()


_MS = timedelta(milliseconds=1)


def _digests(path: Path) -> tuple[dict[str, str], int]:
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            md5.update(block)
            sha.update(block)
            size += len(block)
    return {"MD5": md5.hexdigest(), "SHA-256": sha.hexdigest()}, size


def _date(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _matches(entry: Entry, expression: str) -> bool:
    """A conjunction of comparisons of PublicationDate and Name; ValueError for anything else."""
    for term in filter(None, (part.strip() for part in expression.split(" and "))):
        if found := _DATE_TERM.fullmatch(term):
            value = datetime.fromisoformat(found[2])
            order = (entry.published > value) - (entry.published < value)
            if not {"ge": order >= 0, "gt": order > 0, "le": order <= 0, "lt": order < 0}[found[1]]:
                return False
        elif found := _NAME_TERM.fullmatch(term):
            kind, part = found.groups()
            test = {"contains": str.__contains__, "startswith": str.startswith, "endswith": str.endswith}[kind]
            if not test(entry.name, part):
                return False
        elif found := _EQUAL_TERM.fullmatch(term):
            if entry.name != found[1]:
                return False
        else:
            raise ValueError(f"cannot read the filter at {term!r}")
    return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """Tokens, listings and downloads of the station."""

    station: ClassVar[Station]
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # name given by the base class
        """Quiet: tests read `Station.requests`."""

    def do_POST(self) -> None:
        if self._is_down():
            return
        station = self.station
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        grant = form.get("grant_type", [""])[0]
        given = {key: form.get(key, [""])[0] for key in ("username", "password", "client_id", "client_secret")}
        is_user = (given["username"], given["password"]) == (station.username, station.password)
        is_client = given["client_secret"] == station.password
        if self.path != "/token":
            self._json(404, {"error": "not_found"})
        elif given["client_id"] != station.client_id:
            self._json(401, {"error": "invalid_client"})
        elif (grant == "password" and is_user) or (grant == "client_credentials" and is_client):
            self._json(
                200,
                {"access_token": station.new_token(), "token_type": "Bearer", "expires_in": station.token_seconds},
            )
        else:
            self._json(401, {"error": "invalid_grant"})

    def do_GET(self) -> None:
        if self._is_down():
            return
        station = self.station
        station.requests.append(self.path)
        if not station.accepts(self.headers.get("Authorization", "").removeprefix("Bearer ")):
            self._json(401, {"error": {"code": "401", "message": "token missing or ended"}})
        elif station.faults.happens(station.faults.errors):
            self._json(500, {"error": {"code": "500", "message": "fault on request"}})
        else:
            station.accepted.append(self.path)
            self.answer()

    def answer(self) -> None:
        """Answer a GET that nothing speaks against."""
        address = urlsplit(self.path)
        if address.path == f"{PATH}/Products":
            self._list({key: values[0] for key, values in parse_qs(address.query).items()})
        elif found := re.fullmatch(rf"{PATH}/Products\(([0-9a-f-]{{36}})\)/\$value", address.path):
            self._value(found[1])
        else:
            self._json(404, {"error": {"code": "404", "message": "no such resource"}})

    def _is_down(self) -> bool:
        if self.station.faults.down:
            self.close_connection = True
            self.connection.close()
        return self.station.faults.down

    def _list(self, query: dict[str, str]) -> None:
        station = self.station
        try:
            found = [entry for entry in station.publish() if _matches(entry, query.get("$filter", ""))]
            top = min(int(query.get("$top", 20)), station.page_limit)
            skip = int(query.get("$skip", 0))
        except ValueError as error:
            self._json(400, {"error": {"code": "400", "message": str(error)}})
            return
        if query.get("$orderby", "").endswith("desc"):
            found.reverse()
        body: dict[str, Any] = {
            "@odata.context": "$metadata#Products",
            "value": [_product(entry) for entry in found[skip : skip + top]],
        }
        if query.get("$count", "").lower() in ("true", "1"):
            body["@odata.count"] = len(found)
        if station.next_link and skip + top < len(found):
            body["@odata.nextLink"] = f"{station.url}/Products?" + urlencode(query | {"$skip": str(skip + top)})
        self._json(200, body)

    def _value(self, identifier: str) -> None:
        entry, faults = self.station.entry(identifier), self.station.faults
        if entry is None or entry.path is None:
            self._json(404, {"error": {"code": "404", "message": "no such product"}})
            return
        start = 0
        if (wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) and not faults.ignore_range:
            start = int(wanted[1])
        if start and start >= entry.size:
            self._json(416, {"error": {"code": "416", "message": "range not satisfiable"}})
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(entry.size - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{entry.size - 1}/{entry.size}")
        self.end_headers()
        end = entry.size
        if faults.happens(faults.cuts):
            end = start + (entry.size - start) // 2
            self.close_connection = True
        for block in _blocks(entry.path, start, end):
            faults.pace(len(block))
            try:
                self.wfile.write(block)
            except OSError:  # the client went away
                self.close_connection = True
                return

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(data)


def _product(entry: Entry) -> dict[str, Any]:
    published = _date(entry.published)
    return {
        "@odata.mediaContentType": "application/octet-stream",
        "Id": entry.id,
        "Name": entry.name,
        "ContentType": "application/octet-stream",
        "ContentLength": entry.size,
        "OriginDate": published,
        "PublicationDate": published,
        "EvictionDate": _date(entry.published + timedelta(days=7)),
        "Checksum": [
            {"Algorithm": algorithm, "Value": value, "ChecksumDate": published}
            for algorithm, value in entry.checksums.items()
        ],
        "ProductionType": "systematic_production",
        "Online": True,
    }


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


def main(kind: type[Station] = Station) -> None:
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--rate", type=float, help="bytes a second of each download")
    arguments = parser.parse_args()
    station = kind(
        arguments.folder,
        host=arguments.host,
        port=arguments.port,
        certificate_file=arguments.certificate,
        key_file=arguments.key,
        faults=Faults(rate=arguments.rate),
    )
    with station:
        print(f"{station.url} (tokens: {station.token_url})", flush=True)  # noqa: T201  # the output of the command
        threading.Event().wait()


if __name__ == "__main__":
    main()
