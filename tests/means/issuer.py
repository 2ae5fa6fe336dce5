"""Tokens as the realm gives them, signed by a key of the test: for tests that are not about identity."""

import json
import threading
import time
from collections.abc import Collection, Iterator
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
_KEY = rsa.generate_private_key(65537, 2048)


def authenticator() -> Authenticator:
    """An authenticator that knows the key."""
    settings = OidcSettings.model_validate({"issuer": ISSUER, "jwks_url": f"{ISSUER}/protocol/openid-connect/certs"})
    return Authenticator(settings, httpx.AsyncClient(transport=httpx.MockTransport(_keys)))


def bearer(user: str = "demo", roles: Collection[str] = (USER,), issuer: str = ISSUER) -> dict[str, str]:
    """The header of a user with these realm roles."""
    claims = {
        "iss": issuer,
        "aud": "refsys",
        "sub": user,
        "exp": time.time() + 36_000,
        "preferred_username": user,
        "realm_access": {"roles": list(roles)},
    }
    return {"Authorization": f"Bearer {jwt.encode(claims, _KEY, 'RS256', {'kid': 'one'})}"}


@contextmanager
def realm() -> Iterator[str]:
    """Publish the key over HTTP, for services that run as processes; gives the address of the realm."""

    class Realm(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(_published()).encode()
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


def _published() -> dict[str, Any]:
    key = RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)
    return {"keys": [{**key, "kid": "one", "use": "sig", "alg": "RS256"}]}


def _keys(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=_published())
