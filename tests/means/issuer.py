"""Tokens as the realm gives them, signed by a key of the test."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from refsys.services.common.settings import OidcSettings
from refsys.services.distribution.auth import USER, Authenticator

ISSUER = "https://auth.example.test/realms/refsys"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)


def authenticator() -> Authenticator:
    """An authenticator that knows the key."""
    return asking(lambda _: httpx.Response(200, json=published()))


def asking(answer: Callable[[httpx.Request], httpx.Response]) -> Authenticator:
    """An authenticator whose realm answers so."""
    settings = OidcSettings.model_validate({"issuer": ISSUER, "jwks_url": f"{ISSUER}/protocol/openid-connect/certs"})
    return Authenticator(settings, httpx.AsyncClient(transport=httpx.MockTransport(answer)))


def token(roles: Collection[str] = (USER,), *, key: rsa.RSAPrivateKey = KEY, kid: str = "one", **changes: Any) -> str:
    """A token of the user `demo` with these realm roles; claims that are None are left out."""
    claims = {
        "iss": ISSUER,
        "aud": "refsys",
        "sub": "1",
        "exp": time.time() + 36_000,
        "preferred_username": "demo",
        "realm_access": {"roles": list(roles)},
    } | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, "RS256", {"kid": kid})


def bearer(user: str = "demo", roles: Collection[str] = (USER,), issuer: str = ISSUER) -> dict[str, str]:
    """The header of a user with these realm roles."""
    return {"Authorization": f"Bearer {token(roles, iss=issuer, sub=user, preferred_username=user)}"}


def published() -> dict[str, Any]:
    """What the realm publishes: the key, as `one`."""
    public = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}


@contextmanager
def realm() -> Iterator[str]:
    """Publish the key over HTTP, for services that run as processes; gives the address of the realm."""

    class Realm(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(published()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Realm)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/realms/refsys"
    server.shutdown()
    server.server_close()
