"""An environment's APIs as an outside client calls them, with a token of the demo user or of who logged in."""

import ssl
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from refsys.infra import kubectl_login
from refsys.infra.errors import UserError

TIMEOUT = httpx.Timeout(15, connect=3)
MARGIN_SECONDS = 30
PROBLEM = "application/problem+json"

Endpoints = Mapping[str, Any]
"""What `up` wrote down of an environment (`refsys.infra.cli.endpoints`)."""


class AwayError(UserError):
    """The API, or what it asks, doesn't answer."""


class Operators:
    """A session with the operators' API of one environment."""

    url, name = "operations_url", "the operators' API"
    """Where it is among the endpoints, and what it is called."""
    role = "a user of a group with the role operator may (docs/security/identity.md)"

    def __init__(self, endpoints: Endpoints, *, log_in: bool = True, timeout: httpx.Timeout = TIMEOUT) -> None:
        """Nothing is requested before the first call; without `log_in` nobody is asked to log in."""
        self._endpoints = endpoints
        self._environment = endpoints["environment"]
        self._log_in = log_in
        self._http = httpx.Client(transport=transport(endpoints["ca_file"]), timeout=timeout, trust_env=False)
        self._token = ""
        self._until = 0.0

    def __enter__(self) -> Self:
        """Begin the session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: object) -> Any:
        """The document at `path`; what is None is not asked for.

        Raises:
            AwayError: nothing answers, or what answers waits for something else.
            UserError: with what is wrong, and how to mend it.
        """
        asked = {name: str(value) for name, value in query.items() if value is not None}
        return self._asked("GET", path, params=asked).json()

    def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """What is answered to a document sent to `path`.

        Raises:
            AwayError: nothing answers, or what answers waits for something else.
            UserError: with what is wrong, and how to mend it.
        """
        return self._asked("POST", path, json=document).json()

    def delete(self, path: str) -> None:
        """Remove what is at `path`.

        Raises:
            AwayError: nothing answers, or what answers waits for something else.
            UserError: with what is wrong, and how to mend it.
        """
        self._asked("DELETE", path)

    def _asked(self, method: str, path: str, **given: Any) -> httpx.Response:
        if self.url not in self._endpoints:
            raise UserError(
                f"environment {self._environment} does not tell where {self.name} is",
                fix=f"it is older than this checkout: ./refsys up {self._environment}",
            )
        headers = {"Authorization": f"Bearer {self._access_token()}", **given.pop("headers", {})}
        try:
            answer = self._http.request(method, self._endpoints[self.url] + path, headers=headers, **given)
        except httpx.HTTPError as error:
            raise self._away(self.name, self._endpoints[self.url], error) from error
        if answer.is_success:
            return answer
        raise self._refused(answer)

    def _access_token(self) -> str:
        if time.monotonic() > self._until:
            found = self._of_demo() if "demo" in self._endpoints else self._of_login()
            self._token, self._until = found
        return self._token

    def _of_demo(self) -> tuple[str, float]:
        demo = self._endpoints["demo"]
        form = {"grant_type": "password", "client_id": demo["client_id"]}
        form |= {"username": demo["username"], "password": demo["password"]}
        try:
            answer = self._http.post(demo["token_url"], data=form)
        except httpx.HTTPError as error:
            raise self._away("the identity provider", self._endpoints["issuer"], error) from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._away("the identity provider", self._endpoints["issuer"], f"it answers {answer.status_code}")
        if answer.is_error:
            raise UserError(
                f"the identity provider gives user {demo['username']} no token: {_reason(answer)}",
                fix=f"./refsys up {self._environment} sets the user up again",
            )
        found = answer.json()
        return found["access_token"], time.monotonic() + found["expires_in"] - MARGIN_SECONDS

    def _of_login(self) -> tuple[str, float]:
        issuer, client = self._endpoints["issuer"], self._endpoints["client_id"]
        tell: Callable[[str], None] = _tell if self._log_in else self._nobody
        asked = kubectl_login.Issuer(issuer, client, self._endpoints["ca_file"])
        try:
            found = kubectl_login.credential(asked, kubectl_login.kept_file(issuer, client), tell)
        except (kubectl_login.LoginError, OSError, ValueError) as error:
            raise self._away("the identity provider", issuer, error) from error
        return found["access_token"], time.monotonic() + found["ends"] - time.time() - MARGIN_SECONDS

    def _nobody(self, _: str) -> None:
        raise UserError("nobody is logged in", fix=f"log in with ./refsys alerts {self._environment}")

    def _refused(self, answer: httpx.Response) -> UserError:
        match answer.status_code:
            case 401 | 403:
                return UserError(
                    f"this user may not ask {self.name} of {self._environment}: {_reason(answer)}", fix=self.role
                )
            case 404 if _told(answer):
                return UserError(_reason(answer), fix="ask for one that is there: the command list shows them")
            case 404:
                return UserError(
                    f"{self.name} of {self._environment} has no {answer.request.url.path}",
                    fix=f"it is older than this checkout: ./refsys up {self._environment}",
                )
            case code if code >= httpx.codes.INTERNAL_SERVER_ERROR:
                return self._away(self.name, self._endpoints[self.url], _reason(answer))
            case _:
                return UserError(f"{self.name} refuses: {_reason(answer)}", fix="ask otherwise; --help says how")

    def _away(self, what: str, where: str, error: object) -> AwayError:
        said = str(error) or type(error).__name__
        return AwayError(
            f"{what} ({where}) doesn't answer: {said}", fix=f"./refsys status {self._environment} says what is down"
        )


def transport(ca_file: str) -> httpx.BaseTransport:
    """Connections to servers that the environment's authority vouches for."""
    return httpx.HTTPTransport(verify=ssl.create_default_context(cafile=ca_file), retries=1)


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _told(answer: httpx.Response) -> bool:
    """Whether the API itself says that something is not there, and not that it has no such address."""
    if answer.headers.get("Content-Type", "").startswith(PROBLEM):
        return True
    try:
        error = answer.json().get("error")
    except (ValueError, AttributeError):
        return False
    return isinstance(error, dict) and str(error.get("message", "")).startswith(("there is no job", "chain "))


def _reason(answer: httpx.Response) -> str:
    """What a service, the gateway or the identity provider says of an error."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if isinstance(found, dict):
        error = found.get("error")
        if isinstance(error, dict) and error.get("message"):
            return str(error["message"])
        if error:
            return ": ".join(filter(None, (str(error), str(found.get("error_description") or ""))))
        if found.get("detail"):
            return str(found["detail"])
    text = " ".join(answer.text.split())[:200]
    return f"it answers {answer.status_code}" + (f": {text}" if text else "")
