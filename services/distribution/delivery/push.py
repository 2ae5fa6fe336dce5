"""The push sender: each notification is POSTed to its endpoint, in order, until it is taken or expires.

Signed after the Standard Webhooks specification 1.0: `webhook-signature: v1,<base64 of HMAC-SHA-256 over
"<webhook-id>.<webhook-timestamp>.<body>">`. A post may be repeated after a failure; the receiver knows it again by
its `webhook-id`.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx

from refsys.services.common import tracing
from refsys.services.distribution.delivery.guard import Guard, RefusedError

SECRET_PREFIX = "whsec_"  # noqa: S105 - of the specification
POST_SECONDS = 30.0
MAX_ERROR = 300


class PushError(Exception):
    """A notification was not taken; the message is shown to the subscriber."""


@dataclass(frozen=True)
class Target:
    """Where to post, and with which credentials."""

    url: str
    username: str | None
    password: str | None
    secret: str


@dataclass(frozen=True)
class Parcel:
    """A notification as it is posted."""

    message_id: str
    body: bytes
    product: str = ""
    trace: str | None = None
    """Of what the notification tells of, the name and the id of its trace."""


def new_secret() -> str:
    """Return a new signing secret, as the subscriber gets to see it once."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Pusher:
    """Posts notifications. Safe for use by several threads."""

    def __init__(self, guard: Guard, ca_file: Path | None = None) -> None:
        """Trust the public authorities, and that of `ca_file`."""
        self._guard = guard
        self._trusted = httpx.create_ssl_context(trust_env=False)
        if ca_file:
            self._trusted.load_verify_locations(str(ca_file))

    def deliver(self, target: Target, parcels: Sequence[Parcel], taken: Callable[[Parcel], None]) -> None:
        """Post the parcels one after the other; `taken` is called for each that the receiver answered with 2xx.

        Raises:
            PushError: the receiver refused one or does not answer; those after it are not tried.
        """
        asyncio.run(self._deliver(target, parcels, taken))

    async def _deliver(self, target: Target, parcels: Sequence[Parcel], taken: Callable[[Parcel], None]) -> None:
        try:
            url = self._guard.check_url(target.url)
            async with asyncio.timeout(POST_SECONDS):
                address = await self._guard.resolve(url)
        except RefusedError as error:
            raise PushError(f"not posted: {error}") from error
        except (OSError, TimeoutError) as error:
            raise PushError(f"the name of the endpoint cannot be resolved: {error}"[:MAX_ERROR]) from error
        auth = httpx.BasicAuth(target.username, target.password or "") if target.username else None
        # A client of its own for each endpoint: connections are kept by address, and two names may share one.
        async with httpx.AsyncClient(verify=self._trusted, auth=auth, timeout=10, trust_env=False) as client:
            for parcel in parcels:
                with _step(parcel):
                    await self._post(client, url, address, target.secret, parcel)
                await asyncio.to_thread(taken, parcel)

    async def _post(self, client: httpx.AsyncClient, url: httpx.URL, address: str, secret: str, parcel: Parcel) -> None:
        timestamp = int(time.time())
        headers = {
            "Host": url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": "refsys-notifier",
            "webhook-id": parcel.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, parcel.message_id, timestamp, parcel.body),
        }
        pinned = {"sni_hostname": url.host}  # the name in TLS and in the certificate stays the endpoint's
        try:
            async with (
                asyncio.timeout(POST_SECONDS),
                client.stream(
                    "POST", url.copy_with(host=address), headers=headers, content=parcel.body, extensions=pinned
                ) as answer,
            ):
                status = answer.status_code  # the answer's body is nobody's business, and may have no end
        except TimeoutError as error:
            raise PushError(f"the endpoint did not answer within {POST_SECONDS:.0f} s") from error
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise PushError(f"the endpoint cannot be reached: {type(error).__name__}: {error}"[:MAX_ERROR]) from error
        if not 200 <= status < 300:
            raise PushError(f"the endpoint answered with HTTP {status}, 2xx is expected")


def _step(parcel: Parcel) -> AbstractContextManager[object]:
    return tracing.beginning("notify", parcel.trace, product=parcel.product) if parcel.trace else nullcontext()
