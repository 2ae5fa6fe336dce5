"""Credentials for kubectl from the identity provider, by the device authorization grant (RFC 8628).

kubectl runs it as a credential plugin (client.authentication.k8s.io/v1). It stands alone, needs nothing but Python
3.11, and takes environment variables: `REFSYS_ISSUER`, `REFSYS_CLIENT` and `REFSYS_CA_FILE`. Tokens are kept for as
long as they hold in `~/.cache/refsys/kubectl`, for their owner only.
"""

import hashlib
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SPARE_SECONDS = 30
TIMEOUT_SECONDS = 30

Tokens = dict[str, Any]


class LoginError(Exception):
    """Nobody logged in; the message says why."""


class Issuer:
    """The identity provider's endpoints."""

    def __init__(self, address: str, client: str, ca_file: str) -> None:
        """Only answers of a server that `ca_file` vouches for are taken."""
        self._base = f"{address}/protocol/openid-connect"
        self._client = client
        self._trust = ssl.create_default_context(cafile=ca_file)

    def refresh(self, token: str) -> Tokens | None:
        """Return new tokens for a refresh token, None when it does not hold any more."""
        answer = self._post("token", grant_type="refresh_token", refresh_token=token)
        return None if "error" in answer else answer

    def log_in(self, tell: Callable[[str], None]) -> Tokens:
        """Let a human log in with a browser; return the tokens."""
        begun = self._post("auth/device", scope="openid")
        if "error" in begun:
            raise LoginError(f"{begun['error']}: {begun.get('error_description', '')}")
        tell(f"log in at {begun['verification_uri_complete']}")
        pause, end = begun.get("interval", 5), time.monotonic() + begun["expires_in"]
        while time.monotonic() < end:
            time.sleep(pause)
            answer = self._post("token", grant_type=DEVICE_GRANT, device_code=begun["device_code"])
            if "error" not in answer:
                return answer
            if answer["error"] == "slow_down":
                pause += 5
            elif answer["error"] != "authorization_pending":
                raise LoginError(f"{answer['error']}: {answer.get('error_description', '')}")
        raise LoginError("nobody logged in in time: run the command again")

    def _post(self, path: str, **form: str) -> Tokens:
        body = urllib.parse.urlencode({"client_id": self._client, **form}).encode()
        request = urllib.request.Request(f"{self._base}/{path}", body)  # noqa: S310 - https, by `main`
        try:
            with urllib.request.urlopen(request, context=self._trust, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                found: Tokens = json.load(answer)
        except urllib.error.HTTPError as refused:
            if refused.code >= 500:
                raise LoginError(f"{self._base} answered {refused.code}: try again") from None
            found = json.load(refused)
        return found


def credential(issuer: Issuer, kept: Path, tell: Callable[[str], None]) -> Tokens:
    """Return tokens that hold: those kept, else refreshed ones, else of a new login."""
    try:
        tokens = json.loads(kept.read_text())
    except (OSError, ValueError):
        tokens = {}
    if tokens.get("ends", 0) > time.time() + SPARE_SECONDS:
        return dict(tokens)
    found = issuer.refresh(tokens["refresh_token"]) if "refresh_token" in tokens else None
    found = found or issuer.log_in(tell)
    new = {
        "id_token": found["id_token"],
        "access_token": found["access_token"],
        "refresh_token": found.get("refresh_token", ""),
        "ends": time.time() + found["expires_in"],
    }
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = kept.with_suffix(".new")
    part.unlink(missing_ok=True)
    part.touch(0o600)
    part.write_text(json.dumps(new))
    part.rename(kept)
    return new


def kept_file(address: str, client: str) -> Path:
    """Return where tokens of an issuer for a client are kept."""
    name = hashlib.sha256(f"{address} {client}".encode()).hexdigest()[:16]
    return Path.home() / ".cache" / "refsys" / "kubectl" / f"{name}.json"


def main() -> int:
    """Print an ExecCredential; 1 with the reason where nobody logged in."""
    address, client = os.environ["REFSYS_ISSUER"], os.environ["REFSYS_CLIENT"]
    if not address.startswith("https://"):
        print(f"{address} is not https", file=sys.stderr)  # noqa: T201 - it is what kubectl shows
        return 1
    kept = kept_file(address, client)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - it is what kubectl shows

    try:
        tokens = credential(Issuer(address, client, os.environ["REFSYS_CA_FILE"]), kept, tell)
    except (LoginError, OSError, ValueError) as error:
        tell(f"no login at {address}: {error}")
        return 1
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(tokens["ends"]))
    status = {"token": tokens["id_token"], "expirationTimestamp": ends}
    document = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    print(json.dumps(document))  # noqa: T201 - it is what kubectl reads
    return 0


if __name__ == "__main__":
    sys.exit(main())
