"""Tokens as the realm gives them, signed by a key of the test: for tests that are not about identity."""

import time
from collections.abc import Collection

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


def bearer(user: str = "demo", roles: Collection[str] = (USER,)) -> dict[str, str]:
    """The header of a user with these realm roles."""
    claims = {
        "iss": ISSUER,
        "aud": "refsys",
        "sub": user,
        "exp": time.time() + 36_000,
        "preferred_username": user,
        "realm_access": {"roles": list(roles)},
    }
    return {"Authorization": f"Bearer {jwt.encode(claims, _KEY, 'RS256', {'kid': 'one'})}"}


def _keys(_: httpx.Request) -> httpx.Response:
    key = RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)
    return httpx.Response(200, json={"keys": [{**key, "kid": "one", "use": "sig", "alg": "RS256"}]})
