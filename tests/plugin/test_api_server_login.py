"""A real API server with the role's own authentication file: whose tokens open the cluster, and as whom."""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jinja2
import pytest
from tests.means.certificates import Authority
from tests.means.issuer import OTHER_KEY, published, token
from tests.plugin.api_server import Cluster, running

from refsys.infra import paths

TEMPLATES = paths.CHECKOUT / "platform/roles/kubernetes_control_plane/templates"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


@dataclass(frozen=True)
class Login:
    """The API server, and the issuer of the tokens that it takes."""

    cluster: Cluster
    issuer: str

    def token(self, **changes: Any) -> str:
        claims = {
            "iss": self.issuer,
            "aud": "kubectl",
            "exp": int(time.time()) + 600,
            "preferred_username": "anna",
            "groups": ["kubernetes-operator"],
            "realm_access": None,
            **changes,
        }
        return token((), **claims)

    def whoami(self, bearer: str) -> tuple[int, dict[str, Any]]:
        """Status, and who the API server takes the caller for."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.cluster.port}/apis/authentication.k8s.io/v1/selfsubjectreviews",
            data=json.dumps(REVIEW).encode(),
            headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cafile=str(self.cluster.folder / "server.crt"))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
                return answer.status, json.load(answer)["status"]["userInfo"]
        except urllib.error.HTTPError as refused:
            return refused.code, {}


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate = authority.issue("auth")

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = published() if self.path.endswith("/certs") else discovery
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer = f"https://127.0.0.1:{server.server_port}/realms/refsys"
    discovery = {"issuer": issuer, "jwks_uri": f"{issuer}/protocol/openid-connect/certs"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("login")
    file = folder / "authentication.yaml"
    file.write_text(_rendered(issuer, authority.ca_file))
    try:
        with running(folder, f"--authentication-config={file}") as cluster:
            found = Login(cluster, issuer)
            until = time.monotonic() + 60  # the API server asks for the keys when it has started
            while found.whoami(found.token())[0] != 201 and time.monotonic() < until:
                time.sleep(1)
            yield found
    finally:
        server.shutdown()
        server.server_close()


def _rendered(issuer: str, ca_file: Path) -> str:
    environment = jinja2.Environment(  # noqa: S701 - YAML
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["to_json"] = json.dumps
    return environment.get_template("authentication.yaml.j2").render(
        kubernetes_control_plane_oidc_issuer=issuer,
        kubernetes_control_plane_oidc_client="kubectl",
        kubernetes_control_plane_oidc_ca_pem=ca_file.read_text(),
    )


def test_a_user_of_the_realm_is_in_the_group_of_his_role(login: Login) -> None:
    status, user = login.whoami(login.token(groups=["kubernetes-operator", "kubernetes-viewer"]))
    assert (status, user.get("username")) == (201, "oidc:anna")
    assert set(user["groups"]) == {"refsys:operator", "refsys:viewer", "system:authenticated"}


@pytest.mark.parametrize(
    "groups",
    [["system:masters"], ["operator"], ["refsys:admin"], [], None],
    ids=["masters", "service", "prefix", "none", "no claim"],
)
def test_other_groups_open_nothing(login: Login, groups: list[str] | None) -> None:
    assert login.whoami(login.token(groups=groups))[0] == 401


def test_no_group_of_the_cluster_comes_with_another(login: Login) -> None:
    _, user = login.whoami(login.token(groups=["system:masters", "kubernetes-viewer"]))
    assert set(user["groups"]) == {"refsys:viewer", "system:authenticated"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "refsys"},
        {"iss": "https://auth.example.org/realms/refsys"},
        {"exp": int(time.time()) - 60},
        {"key": OTHER_KEY},
        {"preferred_username": None},
    ],
    ids=["for the services", "other issuer", "expired", "forged", "nameless"],
)
def test_wrong_tokens_are_refused(login: Login, changes: dict[str, Any]) -> None:
    assert login.whoami(login.token(**changes))[0] == 401


def test_a_name_of_the_cluster_cannot_be_taken(login: Login) -> None:
    status, user = login.whoami(login.token(preferred_username="system:admin"))
    assert status == 401 or user["username"] == "oidc:system:admin"
