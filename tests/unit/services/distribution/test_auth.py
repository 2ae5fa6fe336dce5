"""Token verification against a realm whose keys and tokens the test makes itself."""

import asyncio
import base64
import json
import time
from collections.abc import Callable

import httpx
import jwt
import pytest
from fastapi import Request
from tests.means.issuer import OTHER_KEY, asking, published, token

from refsys.services.distribution.auth import Identity
from refsys.services.distribution.odata.errors import ODataError


class Realm:
    """Answers as Keycloak does; `requests` are the last parts of the paths that were asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path.rpartition("/")[2])
        if self.requests[-1] == "certs":
            return httpx.Response(200, json=published())
        if b"password=right" in request.content:
            return httpx.Response(200, json={"access_token": token()})
        return httpx.Response(401, json={"error": "invalid_grant"})


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@pytest.fixture
def realm() -> Realm:
    return Realm()


@pytest.fixture
def identify(realm: Realm) -> Callable[..., Identity]:
    authenticator = asking(realm.answer)

    def call(**headers: str) -> Identity:
        return asyncio.run(authenticator.identify(request(**headers)))

    return call


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"demo:{password}".encode()).decode()


def test_three_ways(identify: Callable[..., Identity]) -> None:
    good = token()
    for headers in (
        {"Authorization": f"Bearer {good}"},
        {"OAUTH2_ACCESS_TOKEN": good},
        {"Authorization": basic("right")},
    ):
        identity = identify(**headers)
        assert (identity.name, identity.roles) == ("demo", frozenset({"prip-user"}))


def test_keys_and_basic_logins_are_cached(identify: Callable[..., Identity], realm: Realm) -> None:
    for _ in range(5):
        identify(Authorization=basic("right"))
    assert realm.requests == ["token", "certs"]


@pytest.mark.parametrize(
    "wrong",
    [
        token(key=OTHER_KEY),
        token(kid="unknown"),
        token(exp=time.time() - 60),
        token(exp=None),
        token(iss="https://elsewhere.example.test"),
        token(aud="account"),
        token(aud=None),
        jwt.encode({"sub": "1"}, "x" * 64, "HS256", {"kid": "one"}),
        jwt.encode({"sub": "1"}, "", "none", {"kid": "one"}),
        base64.urlsafe_b64encode(b"[" * 20_000).decode() + ".x.y",
        "e30.é.x",
        "rubbish",
        "",
    ],
)
def test_wrong_tokens(identify: Callable[..., Identity], wrong: str) -> None:
    with pytest.raises(ODataError) as caught:
        identify(Authorization=f"Bearer {wrong}")
    assert caught.value.status == 401
    assert "Bearer" in caught.value.headers["WWW-Authenticate"]
    assert json.dumps(caught.value.body())


@pytest.mark.parametrize(
    "header", [basic("wrong"), "Basic ???", "Basic é", "Basic " + base64.b64encode(b"x").decode(), "Digest x"]
)
def test_wrong_logins(identify: Callable[..., Identity], header: str) -> None:
    with pytest.raises(ODataError) as caught:
        identify(Authorization=header)
    assert caught.value.status == 401


def test_unknown_keys_do_not_flood_the_realm(identify: Callable[..., Identity], realm: Realm) -> None:
    for _ in range(5):
        with pytest.raises(ODataError):
            identify(Authorization=f"Bearer {token(kid='unknown')}")
    assert realm.requests == ["certs"]


def test_identity_service_away() -> None:
    away = asking(lambda _: httpx.Response(502))
    with pytest.raises(ODataError) as caught:
        asyncio.run(away.identify(request(Authorization=f"Bearer {token()}")))
    assert caught.value.status == 503
