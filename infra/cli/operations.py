"""The operators' API of an environment, as commands call it."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from refsys.infra.cli import endpoints
from refsys.infra.errors import UserError

TIMEOUT_SECONDS = 60
PAGE = 1000


@contextmanager
def operators_api(environment: str) -> Iterator["Operations"]:
    """A session with the token in `REFSYS_TOKEN`, or with one of the demo user, who is an operator.

    Raises:
        UserError: the environment is not up, or there is neither token nor demo user.
    """
    found = endpoints.read(environment)
    trust = ssl.create_default_context(cafile=found["ca_file"])
    with httpx.Client(verify=trust, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        token = os.environ.get("REFSYS_TOKEN") or _token(http, environment, found)
        http.headers["Authorization"] = f"Bearer {token}"
        yield Operations(http, found["operations_url"].rstrip("/"), environment)


class Operations:
    """An operator's session."""

    def __init__(self, http: httpx.Client, url: str, environment: str) -> None:
        """`http` has the token."""
        self._http = http
        self._url = url
        self._environment = environment

    def get(self, path: str, options: Mapping[str, Any] | None = None) -> Any:
        """What is at a path below `/operations/v1`.

        Raises:
            UserError: the API does not answer, or refuses.
        """
        try:
            answer = self._http.get(f"{self._url}/operations/v1{path}", params=options)
        except httpx.HTTPError as error:
            raise UserError(
                f"the operators' API does not answer: {error}", fix=f"./refsys status {self._environment}"
            ) from None
        if answer.is_error:
            raise UserError(
                f"the operators' API answers {answer.status_code}: {answer.text[:500]}",
                fix=f"./refsys status {self._environment}, or another REFSYS_TOKEN",
            )
        return answer.json()

    def every(self, path: str, options: Mapping[str, Any] | None = None, limit: int = 10 * PAGE) -> list[Any]:
        """All pages of a list, as far as `limit`."""
        rows: list[Any] = []
        while len(rows) < limit:
            page = self.get(path, {**(options or {}), "page": len(rows) // PAGE, "size": PAGE})
            rows += page
            if len(page) < PAGE:
                break
        return rows


def _token(http: httpx.Client, environment: str, found: Mapping[str, Any]) -> str:
    demo = found.get("demo")
    if not demo:
        raise UserError(
            f"environment {environment} has no demo user, whose token would be taken",
            fix="put an access token of an operator into REFSYS_TOKEN",
        )
    form = {"grant_type": "password", "client_id": demo["client_id"]}
    form |= {"username": demo["username"], "password": demo["password"]}
    try:
        answer = http.post(found["token_url"], data=form).raise_for_status()
    except httpx.HTTPError as error:
        raise UserError(f"no token is given: {error}", fix=f"./refsys status {environment}") from None
    return str(answer.json()["access_token"])
