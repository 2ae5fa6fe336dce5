"""What the client of the API server makes of its answers; the real one is asked in tests/services."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import certifi
import pytest

from refsys.services.execution.kubernetes import Cluster, ClusterError, ConflictError, GoneError, RefusedError

EVENTS = (
    {"type": "ADDED", "object": {"metadata": {"resourceVersion": "6"}}},
    {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}},
)


class Answering(BaseHTTPRequestHandler):
    """Answers by the path; remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, dict[str, list[str]], str, Any]]] = []

    def _do(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        query = parse_qs(url.query)
        self.asked.append((self.command, url.path, query, self.headers["Authorization"], body))
        name = url.path.rpartition("/")[2]
        if "watch" in query:
            lines = [*EVENTS]
            if query["resourceVersion"] == ["old"]:
                lines = [{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}]
            content = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
            self._answer(200, content)
        else:
            code = int(name) if name.isdigit() else 200
            self._answer(code, json.dumps({"message": f"because {name}", "kind": "X"}).encode())

    def _answer(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815  # names of the library

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "token").write_text("first\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Answering.asked.clear()
    client = Cluster(f"http://127.0.0.1:{server.server_port}", tmp_path / "token", Path(certifi.where()))
    yield client
    client.close()
    server.shutdown()
    server.server_close()


def test_objects_are_read_made_changed_and_removed_with_the_token_of_now(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster.get("/api/v1/things/x", labelSelector="refsys/job") == {"message": "because x", "kind": "X"}
    (tmp_path / "token").write_text("second\n")
    cluster.create("/api/v1/things", {"a": 1}, dryRun="All")
    cluster.merge("/api/v1/things/x", {"b": 2})
    cluster.delete("/api/v1/things/x")
    assert [(method, query, token, body) for method, _, query, token, body in Answering.asked] == [
        ("GET", {"labelSelector": ["refsys/job"]}, "Bearer first", None),
        ("POST", {"dryRun": ["All"]}, "Bearer second", {"a": 1}),
        ("PATCH", {}, "Bearer second", {"b": 2}),
        ("DELETE", {"propagationPolicy": ["Background"]}, "Bearer second", None),
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(409, ConflictError), (403, RefusedError), (422, RefusedError), (410, GoneError), (500, ClusterError)],
)
def test_errors_have_their_kind_and_reason(cluster: Cluster, code: int, kind: type[ClusterError]) -> None:
    with pytest.raises(ClusterError, match=f"HTTP {code}: because {code}") as raised:
        cluster.create(f"/api/v1/{code}", {})
    assert type(raised.value) is kind


def test_what_is_not_there_is_none(cluster: Cluster) -> None:
    assert cluster.get("/api/v1/404") is None
    assert cluster.merge("/api/v1/404", {}) is None
    cluster.delete("/api/v1/404")
    with pytest.raises(ClusterError, match="there is no"):
        cluster.create("/api/v1/404", {})


def test_a_watch_tells_what_changes_and_when_too_much_did(cluster: Cluster) -> None:
    assert [*cluster.watch("/api/v1/things", "refsys/job", "5")] == [*EVENTS]
    [(_, _, query, _, _)] = Answering.asked
    assert query["labelSelector"] == ["refsys/job"] and query["resourceVersion"] == ["5"]
    with pytest.raises(GoneError, match="too old"):
        list(cluster.watch("/api/v1/things", "refsys/job", "old"))


def test_a_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    away = Cluster("http://127.0.0.1:1", tmp_path / "token", Path(certifi.where()))
    with pytest.raises(ClusterError, match="API server"):
        away.get("/api/v1/things")
    with pytest.raises(ClusterError, match="API server"):
        list(away.watch("/api/v1/things", "", "1"))
    away.close()
