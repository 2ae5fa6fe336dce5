"""Routing with the real rclone between real servers: S3, WebDAV and folders; the ledger in PostgreSQL."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from tests.means.certificates import Authority
from tests.means.processes import free_port
from wsgidav.wsgidav_app import WsgiDAVApp

from refsys.services.common.database import exclusive
from refsys.services.common.operations import Health
from refsys.services.common.rclone import Remote, object_store_remote
from refsys.services.common.settings import S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.responses import handle_errors
from refsys.services.routing.api import routing_operations
from refsys.services.routing.router import Router
from refsys.services.routing.rules import Routing, Rule

BUCKET = "rs-s1-aux"
USER, PASSWORD = "router", "a password: with $igns"
NAMES = ("a.EOF", "folder/b with space.zip", "folder/c\u00e9.xml")


@pytest.fixture
def webdav(tmp_path: Path, authority: Authority) -> Iterator[tuple[str, Path]]:
    """A WebDAV server over HTTPS with users; its address and its folder."""
    folder = tmp_path / "webdav"
    folder.mkdir()
    certificate, port = authority.issue("webdav"), free_port()
    application = WsgiDAVApp(
        {
            "provider_mapping": {"/": {"root": str(folder)}},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "logging": {"enable": False},
            "verbose": 0,
        }
    )
    server = Server(("127.0.0.1", port), application)
    server.ssl_adapter = BuiltinSSLAdapter(str(certificate.certificate_file), str(certificate.key_file))
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield f"https://localhost:{port}/", folder
    server.stop()
    thread.join(30)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(50_000))
    return folder


@pytest.fixture
def remotes(s3: S3Settings, webdav: tuple[str, Path], tmp_path: Path) -> list[Remote]:
    password = tmp_path / "webdav-password"
    password.write_text(PASSWORD)
    return [
        Remote(name="here", type="local"),
        Remote(
            name="dav",
            type="webdav",
            options={"url": webdav[0], "vendor": "other", "user": USER},
            secret_files={"pass": password},
        ),
        Remote(name="down", type="webdav", options={"url": f"https://localhost:{free_port()}/", "vendor": "other"}),
        object_store_remote(s3, "store"),
    ]


Follow = Callable[[], list[dict[str, Any]]]
Make = Callable[..., Follow]


@pytest.fixture
def make(engine: Engine, remotes: list[Remote], authority: Authority) -> Make:
    """Makes a rule; what comes back lists its source, sends what is due, and returns the ledger."""

    def make_rule(
        source: str, target: str, pause_seconds: float = 0.001, **changes: Any
    ) -> Callable[[], list[dict[str, Any]]]:
        rule = Rule(name="rule", source=source, target=target, schedule="* * * * *", **changes)
        routing = Routing(ca_file=authority.ca_file, remotes=remotes, rules=[rule])
        router = Router(routing, engine, threading.Event(), Health(), pause=timedelta(seconds=pause_seconds))

        def follow() -> list[dict[str, Any]]:
            with exclusive(engine, "routing rule") as connection:
                router.list(connection, rule)
                router.send(connection, rule)
                found = connection.execute(text("SELECT * FROM routing.transfer ORDER BY path, id")).mappings()
                return [dict(row) for row in found]

        return follow

    return make_rule


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()  # noqa: S324


def test_folder_to_object_store(make: Make, source: Path, store: ObjectStore) -> None:
    follow = make(f"here:{source}", f"store:{BUCKET}/in")
    first = follow()
    there = contents(source)
    assert [(row["path"], row["state"], row["attempts"]) for row in first] == [(name, "DONE", 1) for name in NAMES]
    assert {row["path"]: (row["size"], row["hash"]) for row in first} == {
        name: (len(content), md5(content)) for name, content in there.items()
    }
    for name, content in there.items():
        assert b"".join(store.read(BUCKET, f"in/{name}")) == content
    assert follow() == first  # nothing is sent again
    # A changed file is sent, of the same size too.
    (source / NAMES[0]).write_bytes(os.urandom(50_000))
    again = follow()
    assert len(again) == len(first) + 1
    assert [(row["state"], row["hash"]) for row in again[:2]] == [
        ("DONE", first[0]["hash"]),
        ("DONE", md5((source / NAMES[0]).read_bytes())),
    ]
    assert b"".join(store.read(BUCKET, f"in/{NAMES[0]}")) == (source / NAMES[0]).read_bytes()


def test_object_store_to_webdav_and_on(
    make: Make, webdav: tuple[str, Path], store: ObjectStore, tmp_path: Path
) -> None:
    """To a server that knows no checksums: compared by reading; and from it, with the source deleted."""
    for name in NAMES:
        store.put(BUCKET, f"out/{name}", iter([name.encode() * 1000]), len(name.encode()) * 1000)
    sent = make(f"store:{BUCKET}/out", "dav:in")()
    assert {row["state"] for row in sent} == {"DONE"}
    expected = {name: name.encode() * 1000 for name in NAMES}
    assert contents(webdav[1] / "in") == expected
    moved = make("dav:in", f"here:{tmp_path / 'target'}", delete_source=True)()
    assert {row["state"] for row in moved} == {"DONE"}
    assert contents(tmp_path / "target") == expected
    assert contents(webdav[1] / "in") == {}


def test_a_changed_file_of_the_same_size_at_a_target_without_checksums(
    make: Make, webdav: tuple[str, Path], source: Path
) -> None:
    follow = make(f"here:{source}", "dav:")
    follow()
    for name in NAMES:
        (source / name).write_bytes(os.urandom(50_000))
    follow()
    assert contents(webdav[1]) == contents(source)


def test_filters(make: Make, source: Path, tmp_path: Path) -> None:
    rows = make(f"here:{source}", f"here:{tmp_path / 'target'}", include=["*.EOF", "*.zip"], exclude=["/folder/b*"])()
    assert [row["path"] for row in rows] == ["a.EOF"]
    assert list(contents(tmp_path / "target")) == ["a.EOF"]


def test_a_target_that_is_down(make: Make, source: Path) -> None:
    follow = make(f"here:{source}", "down:in", attempts=3, include=["a.EOF"])
    rows = [follow() for _ in range(3)][-1]  # one of them may send once or until the end
    assert [(row["state"], row["attempts"]) for row in rows] == [("FAILED", 3)]
    assert "connection refused" in rows[0]["reason"]


def test_pauses_double_and_the_deadline_ends_them(make: Make, source: Path, engine: Engine) -> None:
    follow = make(f"here:{source}", "down:in", pause_seconds=60, deadline_seconds=3600, include=["a.EOF"])
    for attempt, pause in ((1, 60), (2, 120), (3, 240)):
        (row,) = follow()
        assert (row["state"], row["attempts"]) == ("PENDING", attempt)
        assert pause <= (row["retry_at"] - row["started"]).total_seconds() < pause + 50
        assert follow() == [row]  # its time has not come
        with engine.begin() as connection:
            connection.execute(text("UPDATE routing.transfer SET retry_at = now()"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE routing.transfer SET seen = now() - interval '2 hours', reason = 'was down'"))
    (row,) = follow()
    assert (row["state"], row["reason"]) == ("FAILED", "not delivered within 3600 s; last: was down")


def test_killed_after_the_copy_nothing_is_sent_again(make: Make, source: Path, tmp_path: Path, engine: Engine) -> None:
    target = tmp_path / "target"
    follow = make(f"here:{source}", f"here:{target}")
    follow()
    before = {name: (target / name).stat().st_ino for name in NAMES}
    with engine.begin() as connection:  # as a router leaves it that is killed before it writes the end
        connection.execute(text("UPDATE routing.transfer SET state = 'RUNNING', hash = NULL, finished = NULL"))
    assert {(row["state"], row["attempts"]) for row in follow()} == {("DONE", 2)}
    assert {name: (target / name).stat().st_ino for name in NAMES} == before


def test_a_source_that_is_down_is_an_error_and_no_transfer(make: Make, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="connection refused"):
        make("down:out", f"here:{tmp_path / 'target'}")()


def test_operators_ask_the_ledger(make: Make, source: Path, engine: Engine, webdav: tuple[str, Path]) -> None:
    make(f"here:{source}", "down:in", attempts=1)()
    make(f"here:{source}", "dav:")()
    app = FastAPI()
    app.state.engine = engine
    app.include_router(routing_operations)
    handle_errors(app)
    client = TestClient(app)
    summary = client.get("/routing/summary").json()["rules"]
    assert [(row["state"], row["files"], row["bytes"]) for row in summary] == [
        ("DONE", 3, 150_000),
        ("FAILED", 3, 150_000),
    ]
    page = client.get("/routing/transfers", params={"state": "FAILED", "limit": 2}).json()
    assert len(page["transfers"]) == 2
    rest = client.get("/routing/transfers", params={"state": "FAILED", "after": page["next"]}).json()
    assert (len(rest["transfers"]), rest["next"]) == (1, None)
    one = client.get("/routing/transfers", params={"path": "a.EOF", "state": "DONE"}).json()["transfers"][0]
    assert one["hash"] == md5((source / "a.EOF").read_bytes())
    failed = rest["transfers"][0]["id"]
    assert client.get(f"/routing/transfers/{failed}").json()["state"] == "FAILED"
    answer = client.post(f"/routing/transfers/{failed}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (202, "PENDING", 0)
    assert client.post(f"/routing/transfers/{one['id']}/retry").status_code == 409
    assert client.get("/routing/transfers/123456789").status_code == 404
    assert client.get("/routing/transfers", params={"state": "LOST"}).status_code == 400
