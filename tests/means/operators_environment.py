"""An environment on paper: its folder with endpoints, authority, kubeconfig and inventory, and what answers for it."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsys.infra import operators
from refsys.infra.health import api_server, security
from tests.means.certificates import Authority

PASSWORD = "8k2-of-the-demo-user-Zq"
OPERATIONS = "https://operations.paper.test"
Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Paper:
    """The environment `paper`; `answers` maps the beginning of an address to what answers there."""

    home: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    roles: bool = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as the longest address that fits says; nothing is at others."""
        self.asked.append(request)
        fitting = [start for start in self.answers if str(request.url).startswith(start)]
        if not fitting:
            raise httpx.ConnectError("nobody is there")
        return self.answers[max(fitting, key=len)](request)

    def operations(self, path: str, document: Any, status: int = 200) -> None:
        """Let the operators' API answer this."""
        self.answers[OPERATIONS + path] = lambda _: httpx.Response(status, json=document)


def lay_out(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "paper") -> Paper:
    """Make the environment's folder, and let nothing leave this process."""
    monkeypatch.setenv("REFSYS_HOME", str(folder))
    home = folder / "environments" / name
    authority = Authority(home / "authority")
    admin = authority.issue("admin")
    (home / "ca.pem").write_text(authority.ca_file.read_text())

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    user = {"client-certificate-data": data(admin.certificate_file), "client-key-data": data(admin.key_file)}
    cluster = {"server": "https://api.paper.test:6443", "certificate-authority-data": data(authority.ca_file)}
    (home / "kubeconfig").write_text(json.dumps({"clusters": [{"cluster": cluster}], "users": [{"user": user}]}))
    token_url = "https://auth.paper.test/realms/refsys/protocol/openid-connect/token"
    client = {"ca_file": str(home / "ca.pem"), "token_url": token_url, "client_id": "refsys-cli"}
    endpoints = client | {
        "environment": name,
        "operations_url": OPERATIONS,
        "prip_url": "https://prip.paper.test",
        "issuer": "https://auth.paper.test/realms/refsys",
        "kubeconfig": str(home / "kubeconfig"),
        "demo": client | {"username": "demo", "password": PASSWORD, "stations": [{"name": "DEMO_AUXIP"}]},
    }
    (home / "endpoints.json").write_text(json.dumps(endpoints))
    (home / "inventory.yml").write_text(json.dumps({"all": {"children": {}}}))
    paper = Paper(home)
    paper.answers["https://auth.paper.test/"] = lambda _: httpx.Response(200, json={})
    paper.answers[token_url] = lambda _: httpx.Response(200, json={"access_token": "of-demo", "expires_in": 600})
    paper.answers["https://prip.paper.test/"] = lambda _: httpx.Response(401)
    monkeypatch.setattr(operators, "transport", lambda _: httpx.MockTransport(paper))
    monkeypatch.setattr(security, "shown", lambda _: "")
    monkeypatch.setattr(api_server, "transport", lambda _: httpx.MockTransport(paper))
    return paper
