"""The cluster's API server, asked for documents as they are: quick to load, and quick to give up."""

import base64
import json
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

TIMEOUT = httpx.Timeout(8, connect=2)

Document = dict[str, Any]
LISTS = {
    "nodes": "/api/v1/nodes",
    "pods": "/api/v1/pods",
    "deployments": "/apis/apps/v1/deployments",
    "stateful_sets": "/apis/apps/v1/statefulsets",
    "daemon_sets": "/apis/apps/v1/daemonsets",
    "jobs": "/apis/batch/v1/jobs",
    "events": "/api/v1/events?fieldSelector=type%3DWarning",
}


class SilentError(Exception):
    """The API server doesn't answer, or not what was asked for; the message says why."""


@dataclass(frozen=True)
class Snapshot:
    """The cluster at one moment."""

    nodes: list[Document] = field(default_factory=list)
    pods: list[Document] = field(default_factory=list)
    deployments: list[Document] = field(default_factory=list)
    stateful_sets: list[Document] = field(default_factory=list)
    daemon_sets: list[Document] = field(default_factory=list)
    jobs: list[Document] = field(default_factory=list)
    events: list[Document] = field(default_factory=list)


class ApiServer:
    """The API server that a kubeconfig names."""

    def __init__(self, kubeconfig: Path) -> None:
        """Nothing is requested yet.

        Raises:
            SilentError: the kubeconfig can't be read.
        """
        try:
            document = yaml.safe_load(kubeconfig.read_text())
            cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
            trust = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
            _load_identity(trust, _decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            self.address = str(cluster["server"])
        except (OSError, KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
            raise SilentError(f"{kubeconfig} can't be used: {error}") from error
        self.certificate = _decoded(user["client-certificate-data"])
        """The one that the kubeconfig shows."""
        self._http = httpx.Client(base_url=self.address, transport=transport(trust), timeout=TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        """Begin to ask."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def text(self, path: str) -> str:
        """What is at an address.

        Raises:
            SilentError: nothing answers, or with an error.
        """
        try:
            answer = self._http.get(path)
        except httpx.ReadTimeout as error:
            raise SilentError(f"{self.address} is there, but too slow: no answer in {TIMEOUT.read:.0f} s") from error
        except httpx.HTTPError as error:
            raise SilentError(f"{self.address} doesn't answer: {str(error) or type(error).__name__}") from error
        if answer.is_error:
            raise SilentError(f"{self.address} answers {answer.status_code}: {_message(answer)}")
        return answer.text

    def snapshot(self) -> Snapshot:
        """Everything that an examination looks at, asked for at the same time."""
        # One first: where nothing answers, nothing else is asked.
        nodes = self._items(LISTS["nodes"])
        others = {name: path for name, path in LISTS.items() if name != "nodes"}
        with ThreadPoolExecutor(len(others)) as pool:
            found = dict(zip(others, pool.map(self._items, others.values()), strict=True))
        return Snapshot(nodes=nodes, **found)

    def log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        """The end of a container's log; nothing where there is none."""
        query = f"container={container}&tailLines={lines}" + ("&previous=true" if previous else "")
        try:
            return self.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{query}")
        except SilentError:
            return ""

    def _items(self, path: str) -> list[Document]:
        found: list[Document] = json.loads(self.text(path))["items"]
        return found


def transport(trust: ssl.SSLContext) -> httpx.BaseTransport:
    """Connections to the API server."""
    return httpx.HTTPTransport(verify=trust)


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()


def _load_identity(context: ssl.SSLContext, pem: str) -> None:
    """Show this certificate; its key goes through memory alone, since the module takes files only."""
    descriptor = os.memfd_create("identity")
    try:
        os.write(descriptor, pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
