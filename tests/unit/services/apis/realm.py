"""An identity service that never leaves the process, and tokens of it."""

import time
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from refsys.services.common.settings import OidcSettings
from refsys.services.distribution.auth import Authenticator

ISSUER = "https://auth.example.test/realms/refsys"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)


class Realm:
    """Answers as Keycloak does; `requests` are the last parts of the paths that were asked for."""

    def __init__(self) -> None:
        """Publish `KEY` as `one`."""
        self.kid = "one"
        self.requests: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Serve the keys, and a token to who knows the password."""
        self.requests.append(request.url.path.rpartition("/")[2])
        if self.requests[-1] == "certs":
            key = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
            return httpx.Response(200, json={"keys": [{**key, "kid": self.kid, "use": "sig", "alg": "RS256"}]})
        if b"password=right" in request.content:
            return httpx.Response(200, json={"access_token": token(kid=self.kid)})
        return httpx.Response(401, json={"error": "invalid_grant"})

    def authenticator(self) -> Authenticator:
        """Return an authenticator that trusts this realm."""
        settings = OidcSettings.model_validate(
            {"issuer": ISSUER, "jwks_url": f"{ISSUER}/protocol/openid-connect/certs"}
        )
        return Authenticator(settings, httpx.AsyncClient(transport=httpx.MockTransport(self.answer)))


def token(*roles: str, key: rsa.RSAPrivateKey = KEY, kid: str = "one", **changes: Any) -> str:
    """Return a token of the user `demo`; claims that are None are left out."""
    claims = {
        "iss": ISSUER,
        "aud": "refsys",
        "sub": "1",
        "exp": time.time() + 300,
        "preferred_username": "demo",
        "realm_access": {"roles": roles or ["prip-user"]},
    } | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, "RS256", {"kid": kid})
