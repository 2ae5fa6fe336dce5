"""The API server, as far as execution needs it: objects by their paths, lists, and what changes in them."""

import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

MERGE = "application/merge-patch+json"
TIMEOUT_SECONDS = 20.0
WATCH_SECONDS = 300
GONE = 410

Json = dict[str, Any]


class ClusterError(Exception):
    """The API server refused something, or does not answer."""


class RefusedError(ClusterError):
    """The API server does not take such an object; says why."""


class ConflictError(ClusterError):
    """The object is there already, or was changed meanwhile."""


class GoneError(ClusterError):
    """What happened since is no longer known: list again."""


class Cluster:
    """An API server; threads may share it. The token is read for each request: the kubelet replaces it."""

    def __init__(self, url: str, token_file: Path, ca_file: Path) -> None:
        """Nothing is requested yet."""
        self._token_file = token_file
        verify = ssl.create_default_context(cafile=str(ca_file))
        self._client = httpx.Client(base_url=url, verify=verify, timeout=TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: str) -> Json | None:
        """Return an object, None if there is none."""
        return self._call("GET", path, query=query)

    def create(self, path: str, body: Json, **query: str) -> Json:
        """Make an object.

        Raises:
            ConflictError: there is one of the name.
            RefusedError: it is not taken.
        """
        made = self._call("POST", path, body=body, query=query)
        if made is None:
            raise ClusterError(f"API server: there is no {path}")
        return made

    def merge(self, path: str, body: Json) -> Json | None:
        """Change an object; None if there is none."""
        return self._call("PATCH", path, body=body, kind=MERGE)

    def delete(self, path: str) -> None:
        """Remove an object and what belongs to it; none there is fine."""
        self._call("DELETE", path, query={"propagationPolicy": "Background"})

    def watch(self, path: str, selector: str, version: str) -> Iterator[Json]:
        """Yield what changes after a version, for some minutes at most.

        Raises:
            GoneError: the version is too old.
        """
        query = {
            "watch": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        patience = httpx.Timeout(TIMEOUT_SECONDS, read=WATCH_SECONDS + TIMEOUT_SECONDS)
        try:
            with self._client.stream("GET", path, params=query, headers=self._headers(), timeout=patience) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error(answer)
                for line in answer.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        gone = event["object"].get("code") == GONE
                        raise (GoneError if gone else ClusterError)(f"API server: {event['object'].get('message')}")
                    yield event
        except httpx.HTTPError as error:
            raise ClusterError(f"API server: {type(error).__name__}: {error}") from error

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Json | None:
        headers = self._headers() | ({"Content-Type": kind} if body is not None else {})
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self._client.request(method, path, content=content, params=query, headers=headers)
        except httpx.HTTPError as error:
            raise ClusterError(f"API server: {type(error).__name__}: {error}") from error
        if answer.status_code == 404:
            return None
        if answer.is_error:
            raise _error(answer)
        found: Json = answer.json()
        return found

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"}


_KINDS: dict[int, type[ClusterError]] = {
    **dict.fromkeys((400, 403, 413, 422), RefusedError),
    409: ConflictError,
    GONE: GoneError,
}


def _error(answer: httpx.Response) -> ClusterError:
    try:
        reason = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        reason = answer.text[:300]
    kind = _KINDS.get(answer.status_code, ClusterError)
    return kind(f"API server: HTTP {answer.status_code}: {reason}")
