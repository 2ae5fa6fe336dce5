"""Requests over HTTP: the log-in, the cloud's reasons, and answers that get lost."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from tests.means.lost_answers import way_to

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.openstack import api as requests_of_plugin
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.config import Config
from refsys.infra.plugins.openstack.errors import CloudError, NoAnswerError, UnreachableError

PASSWORD = "correct-horse-battery"
Answer = tuple[int, Any]


class Small:
    """Keystone's log-in, and one Neutron whose answers the tests choose."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.answers: dict[tuple[str, str], Callable[[], Answer]] = {}

    def answer(self, method: str, path: str, body: Any) -> Answer:
        if path == "/v3/auth/tokens":
            given = body["auth"]["identity"]["password"]["user"]["password"]
            if given != PASSWORD:
                return 401, {"error": {"message": "The request you have made requires authentication.", "code": 401}}
            endpoints = {"network": f"{self.url}/net/v2.0", "compute": f"{self.url}/comp/v2.1"}
            catalogue = [
                {"type": kind, "endpoints": [{"interface": "public", "region_id": "R", "region": "R", "url": url}]}
                for kind, url in endpoints.items()
            ]
            until = {"expires_at": "2999-01-01T00:00:00.000000Z", "issued_at": "2020-01-01T00:00:00.000000Z"}
            return 201, {"token": {"project": {"id": "p", "name": "p"}, "catalog": catalogue, "methods": [], **until}}
        if path in ("/v3", "/v3/"):
            return 200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self.url}]}}
        if path in ("/comp/v2.1", "/comp/v2.1/"):
            links = [{"rel": "self", "href": f"{self.url}/comp/v2.1/"}]
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.93", "min_version": "2.1", "links": links}
            return 200, {"version": version}
        return self.answers.get((method, path), lambda: (404, {"NeutronError": {"message": "gone"}}))()


@pytest.fixture
def cloud() -> Iterator[Small]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        cloud: ClassVar[Small]

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = self.path.partition("?")[0]
            self.cloud.seen.append((self.command, self.path, dict(self.headers.items())))
            status, content = self.cloud.answer(self.command, path, body)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Subject-Token", "t")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 names of the library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.cloud = Small(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Handler.cloud
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_of_plugin, "TRIES", 2)


def connected(cloud: Small, **more: Any) -> Api:
    given = {"authUrl": f"{cloud.url}/v3", "userName": "u", "password": PASSWORD, "tenantName": "p", "region": "R"}
    domains = {"userDomainName": "Default", "projectDomainName": "Default"}
    return Api(Config.read({**given, **domains, **more}))


def test_reading_sending_and_pages(cloud: Small) -> None:
    api = connected(cloud)
    assert api.project == "p"
    cloud.answers["GET", "/net/v2.0/networks/1"] = lambda: (200, {"network": {"id": "1"}})
    assert api.get("network", "/networks/1") == {"network": {"id": "1"}}
    assert api.get("network", "/networks/2") is None
    api.delete("network", "/networks/2")
    pages = iter(
        [
            {"networks": [{"id": "1"}], "networks_links": [{"rel": "next", "href": f"{cloud.url}/net?marker=1"}]},
            {"networks": [{"id": "2"}]},
        ]
    )
    cloud.answers["GET", "/net/v2.0/networks"] = lambda: (200, next(pages))
    assert [item["id"] for item in api.all("network", "/networks", "networks")] == ["1", "2"]
    assert any("marker=1" in path for _, path, _ in cloud.seen)


def test_servers_are_asked_for_with_one_version(cloud: Small) -> None:
    cloud.answers["POST", "/comp/v2.1/servers"] = lambda: (202, {"server": {"id": "s"}})
    assert connected(cloud).send("compute", "POST", "/servers", {"server": {}})["server"]["id"] == "s"
    [headers] = [headers for method, path, headers in cloud.seen if (method, path) == ("POST", "/comp/v2.1/servers")]
    assert headers["OpenStack-API-Version"] == "compute 2.64"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"NeutronError": {"type": "OverQuota", "message": "Quota exceeded"}}, "Quota exceeded"),
        ({"badRequest": {"code": 400, "message": "Invalid image"}}, "Invalid image"),
        ({"faultcode": "Client", "faultstring": "Load Balancer is immutable"}, "Load Balancer is immutable"),
    ],
)
def test_the_clouds_own_reason(cloud: Small, content: Any, reason: str) -> None:
    cloud.answers["POST", "/net/v2.0/networks"] = lambda: (409, content)
    with pytest.raises(CloudError, match=reason) as caught:
        connected(cloud).send("network", "POST", "/networks", {"network": {}})
    assert caught.value.status == 409


def test_wrong_credentials(cloud: Small) -> None:
    with pytest.raises(CloudError, match="requires authentication") as caught:
        connected(cloud, password="wrong").get("network", "/networks/1")
    assert "check the credentials" in caught.value.advised()
    assert "wrong" not in caught.value.advised()


def test_a_service_that_is_not_there(cloud: Small) -> None:
    with pytest.raises(PluginError, match="this cloud has no load balancer service in region R"):
        connected(cloud).get("load_balancer", "/lbaas/loadbalancers/1")


def test_a_cloud_that_is_not_there() -> None:
    nowhere = Api(Config.read({"authUrl": "http://127.0.0.1:1/v3", "userName": "u", "password": "p"}))
    with pytest.raises((UnreachableError, PluginError), match=r"127\.0\.0\.1"):
        nowhere.get("network", "/networks/1")


def test_an_answer_that_gets_lost_is_not_asked_for_twice(cloud: Small) -> None:
    cloud.answers["POST", "/net/v2.0/networks"] = lambda: (201, {"network": {"id": "1"}})
    with way_to(f"{cloud.url}/net/v2.0") as way:
        way.lose.append(("POST", "/networks"))
        api = connected(cloud, endpointOverrides=json.dumps({"network": way.url}))
        with pytest.raises(NoAnswerError):
            api.send("network", "POST", "/networks", {"network": {}})
        assert way.lost == 1
        assert len([path for method, path, _ in cloud.seen if (method, path) == ("POST", "/net/v2.0/networks")]) == 1
        assert api.send("network", "POST", "/networks", {"network": {}}) == {"network": {"id": "1"}}
