"""Who asks: access tokens of the realm, however clients in the field send them.

A token comes as `Authorization: Bearer`, in the header `OAUTH2-ACCESS-TOKEN`, or is fetched for the user of
`Authorization: Basic`. It is verified against the realm's published keys: signature, issuer, audience, expiry.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from fastapi import Request

from refsys.services.common.logs import get_logger
from refsys.services.common.settings import OidcSettings
from refsys.services.common.tls import trust
from refsys.services.distribution.odata.errors import ODataError

USER = "prip-user"
OPERATOR = "operator"
BASIC_CLIENT = "refsys-cli"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
LEEWAY_SECONDS = 10
KEYS_SECONDS = 300.0
KEYS_PAUSE_SECONDS = 10.0
BASIC_SECONDS = 60.0
BASIC_ENTRIES = 1000

log = get_logger()


@dataclass(frozen=True)
class Identity:
    """A verified caller; `expires` is the token's end in seconds since the epoch."""

    name: str
    roles: frozenset[str]
    expires: float


class Authenticator:
    """Verifies callers against one realm."""

    def __init__(self, settings: OidcSettings, client: httpx.AsyncClient) -> None:
        """Nothing is requested before the first caller."""
        self._issuer = str(settings.issuer).rstrip("/")
        self._audience = settings.audience
        self._keys_url = str(settings.jwks_url)
        # Keycloak serves keys and tokens side by side: …/protocol/openid-connect/{certs,token}.
        self._token_url = self._keys_url.rpartition("/")[0] + "/token"
        self._client = client
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._refresh = asyncio.Lock()
        self._basic: dict[bytes, tuple[Identity, float]] = {}
        self._secret = secrets.token_bytes(32)

    async def identify(self, request: Request) -> Identity:
        """Return the verified caller of a request.

        Raises:
            ODataError: 401 without valid credentials, 503 if the identity service does not answer.
        """
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._verify(credentials.strip())
        if token := request.headers.get("OAUTH2-ACCESS-TOKEN"):
            return await self._verify(token.strip())
        if scheme.lower() == "basic":
            return await self._login(credentials.strip())
        raise unauthorized("no access token: send Authorization: Bearer <token>, or user and password by Basic")

    async def _verify(self, token: str) -> Identity:
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise unauthorized("the access token has expired: get a new one", "invalid_token") from error
        except jwt.PyJWTError as error:
            raise unauthorized(f"the access token is not valid here: {error}", "invalid_token") from error
        except (RecursionError, ValueError, TypeError) as error:
            raise unauthorized("the access token is not a JSON Web Token", "invalid_token") from error
        roles = (claims.get("realm_access") or {}).get("roles") or []
        name = str(claims.get("preferred_username") or claims["sub"])
        return Identity(name, frozenset(map(str, roles)), float(claims["exp"]))

    async def _key(self, kid: str) -> jwt.PyJWK:
        age = time.monotonic() - self._fetched
        if age > KEYS_SECONDS or (kid not in self._keys and age > KEYS_PAUSE_SECONDS):
            async with self._refresh:
                if time.monotonic() - self._fetched >= age:
                    await self._fetch_keys()
        if kid not in self._keys:
            raise jwt.InvalidTokenError("it is signed with a key that the realm does not publish")
        return self._keys[kid]

    async def _fetch_keys(self) -> None:
        try:
            answer = await self._client.get(self._keys_url)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx.HTTPError, ValueError, jwt.PyJWKSetError) as error:
            log.error("cannot fetch the realm's keys", url=self._keys_url, error=str(error))
            if self._keys:  # known keys stay good while the identity service is away
                return
            raise _unavailable() from error
        self._keys = {str(key.key_id): key for key in keys if key.public_key_use in {"sig", None}}
        self._fetched = time.monotonic()

    async def _login(self, credentials: str) -> Identity:
        try:
            user, separator, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError as error:  # not base64, or not UTF-8
            raise unauthorized("the Basic credentials are not base64 of user:password") from error
        if not separator:
            raise unauthorized("the Basic credentials are not base64 of user:password")
        digest = hmac.digest(self._secret, credentials.encode(), hashlib.sha256)
        identity, until = self._basic.get(digest, (None, 0.0))
        if identity and time.monotonic() < until and time.time() < identity.expires:
            return identity
        identity = await self._verify(await self._fetch_token(user, password))
        if len(self._basic) >= BASIC_ENTRIES:
            self._basic.pop(next(iter(self._basic)))
        self._basic[digest] = (identity, time.monotonic() + BASIC_SECONDS)
        return identity

    async def _fetch_token(self, user: str, password: str) -> str:
        form = {
            "grant_type": "password",
            "client_id": BASIC_CLIENT,
            "username": user,
            "password": password,
            "scope": "openid",
        }
        try:
            answer = await self._client.post(self._token_url, data=form)
            if answer.status_code in {400, 401, 403}:
                raise unauthorized("user or password is wrong, or the user is locked")
            answer.raise_for_status()
            return str(answer.json()["access_token"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            log.error("cannot get a token for a user", url=self._token_url, error=str(error))
            raise _unavailable() from error


def open_authenticator(settings: OidcSettings) -> Authenticator:
    """Return an authenticator that reaches the realm over HTTPS."""
    return Authenticator(settings, httpx.AsyncClient(verify=trust(settings.ca_file), timeout=10, trust_env=False))


def require(role: str) -> Callable[[Request], Awaitable[Identity]]:
    """Return the dependency of an endpoint that only callers with `role` may use."""

    async def dependency(request: Request) -> Identity:
        authenticator: Authenticator = request.app.state.authenticator
        identity = await authenticator.identify(request)
        request.state.user = identity.name
        if role not in identity.roles:
            raise ODataError(403, "Forbidden", f"user {identity.name} lacks the role {role}: ask the operator for it")
        return identity

    return dependency


def unauthorized(message: str, error: str = "") -> ODataError:
    """Return a 401 that tells the client how to authenticate (RFC 6750, RFC 7617)."""
    bearer = 'Bearer realm="refsys"' + (f', error="{error}"' if error else "")
    return ODataError(
        401, "Unauthorized", message, {"WWW-Authenticate": f'{bearer}, Basic realm="refsys", charset="UTF-8"'}
    )


def _unavailable() -> ODataError:
    return ODataError(
        503, "IdentityUnavailable", "the identity service does not answer: try again", {"Retry-After": "10"}
    )
