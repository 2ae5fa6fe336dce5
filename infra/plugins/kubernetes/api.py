"""The Kubernetes API: transport, discovery and the few verbs that the plugin needs."""

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config import (
    ConfigException,
    load_incluster_config,
    load_kube_config,
    load_kube_config_from_dict,
)

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.config import Config, parse_kubeconfig
from refsys.infra.plugins.kubernetes.errors import ApiError, NoKindError, UnreachableError
from refsys.infra.plugins.kubernetes.objects import Kind

FIELD_MANAGER = "pulumi-kubernetes"
CONNECTIONS = 32
_TIMEOUT = (5.0, 60.0)
"""Seconds to connect and to wait for an answer."""
_RETRY_SECONDS = 30.0
"""How long a request is tried again while the API server starts, is overloaded or can't call a webhook."""
_SILENT_SECONDS = 5.0
"""How long a server that did not answer is not asked again; then it is asked once, not for the whole of the above."""
_JSON, _APPLY = "application/json", "application/apply-patch+yaml"
_TRANSIENT = frozenset({429, 502, 503, 504})
_TRANSIENT_TEXTS = ("failed calling webhook", "etcdserver:", "connection refused", "context deadline exceeded")


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are found."""

    kind: Kind
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the URL path of an object, or of the collection."""
        root = f"/apis/{self.kind.api_version}" if self.kind.group else f"/api/{self.kind.version}"
        scope = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{quote(name)}" if name else "")


class Api:
    """One cluster, one pool of connections, used by all threads."""

    def __init__(self, config: Config, pause: Callable[[float], None] = time.sleep) -> None:
        """Load credentials; `pause` waits between tries and may raise to stop. Nothing is sent yet."""
        self._client = _client(config)
        self._pause = pause
        self._discovered: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()
        self._silence: tuple[float, UnreachableError] | None = None

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._client.configuration.host)

    def resource(self, kind: Kind, fresh: bool = False) -> Resource:
        """Find the kind by discovery, cached. Raises `NoKindError`."""
        with self._lock:
            known = self._discovered.get(kind.api_version)
        if known is None or (fresh and kind.name not in known):
            known = self._discover(kind)
            with self._lock:
                self._discovered[kind.api_version] = known
        if kind.name not in known:
            raise NoKindError(
                f"the cluster at {self.server} serves no kind {kind}; "
                "make its CustomResourceDefinition first, or correct apiVersion and kind"
            )
        return known[kind.name]

    def get(self, resource: Resource, namespace: str | None, name: str) -> Properties:
        """Read an object."""
        return self._call("GET", resource.path(namespace, name))

    def list(self, resource: Resource, namespace: str | None, **query: str) -> list[Properties]:
        """Read the objects of a collection that match the query (`labelSelector`, `fieldSelector`)."""
        items = self._call("GET", resource.path(namespace), query).get("items") or []
        return list(items)

    def apply(
        self, resource: Resource, namespace: str | None, name: str, manifest: Properties, dry_run: bool = False
    ) -> Properties:
        """Make or change an object by server-side apply; fields that others own are taken over."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        return self._call("PATCH", resource.path(namespace, name), query, manifest, _APPLY)

    def create(
        self, resource: Resource, namespace: str | None, manifest: Properties, dry_run: bool = False
    ) -> Properties:
        """Make an object whose name the server chooses (`metadata.generateName`)."""
        query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        return self._call("POST", resource.path(namespace), query, manifest)

    def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Ask for deletion, dependents first."""
        choice = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        self._call("DELETE", resource.path(namespace, name), {}, choice)

    def log_tail(self, namespace: str, pod: str, container: str, lines: int, previous: bool) -> str:
        """Return the last lines a container wrote."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        return self._send("GET", path, query).decode(errors="replace")

    def _discover(self, kind: Kind) -> dict[str, Resource]:
        root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
        try:
            found = self._call("GET", root)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        return {
            item["kind"]: Resource(Kind(kind.group, kind.version, item["kind"]), item["name"], item["namespaced"])
            for item in found.get("resources") or []
            if "/" not in item["name"]
        }

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Properties | None = None,
        content_type: str = _JSON,
    ) -> Properties:
        """Send a request, again while the failure may pass. All requests but POST may be repeated."""
        silence = self._silence
        if silence and time.monotonic() < silence[0] + _SILENT_SECONDS:
            raise silence[1]
        deadline = time.monotonic() + (0 if silence else _RETRY_SECONDS)
        delay = 0.5
        while True:
            try:
                answer = json.loads(self._send(method, path, query, body, content_type))
            except (ApiError, UnreachableError) as error:
                if not _may_pass(error) or method == "POST" or time.monotonic() + delay > deadline:
                    self._silence = (time.monotonic(), error) if isinstance(error, UnreachableError) else None
                    raise
            else:
                self._silence = None
                return answer if isinstance(answer, dict) else {}
            self._pause(delay)
            delay = min(delay * 2, 5.0)

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Properties | None = None,
        content_type: str = _JSON,
    ) -> bytes:
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        content = json.dumps(body) if content_type == _APPLY else body  # the client serialises JSON only
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, content)
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._client.rest_client.request(
                method, url, headers=headers, body=content, _request_timeout=_TIMEOUT
            )
            data: bytes = response.read()
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise UnreachableError(
                f"the API server {self.server} did not answer {method} {path}: {_cause(error)}; "
                "see that the cluster runs, that this machine reaches it, and that the kubeconfig is the current one"
            ) from error
        if 200 <= response.status < 300:
            return data
        raise _refusal(response.status, data)


def _client(config: Config) -> ApiClient:
    settings = Configuration()
    settings.connection_pool_maxsize = CONNECTIONS
    settings.retries = False
    with tempfile.TemporaryDirectory(prefix="pulumi-kubernetes-") as folder:
        _load(config, settings, folder)
        client = ApiClient(settings)
        if settings.verify_ssl:  # keys are read once, so that no file of them stays behind
            context = ssl.create_default_context(cafile=settings.ssl_ca_cert, cadata=settings.ca_cert_data)
            if settings.cert_file:
                context.load_cert_chain(settings.cert_file, settings.key_file)
            options = client.rest_client.pool_manager.connection_pool_kw
            for key in ("ca_certs", "ca_cert_data", "cert_file", "key_file"):
                options.pop(key, None)
            options["ssl_context"] = context
    return client


def _load(config: Config, settings: Configuration, folder: str) -> None:
    try:
        if config.kubeconfig is not None:
            content = _with_cluster(parse_kubeconfig(config.kubeconfig), config)
            load_kube_config_from_dict(content, config.context, settings, persist_config=False, temp_file_path=folder)
            return
        try:
            load_kube_config(None, config.context, settings, persist_config=False, temp_file_path=folder)
        except ConfigException:
            load_incluster_config(client_configuration=settings)
    except ConfigException as error:
        raise PluginError(
            f"provider kubernetes: no usable kubeconfig: {error}; "
            "give the provider a kubeconfig, or set KUBECONFIG to the path of one"
        ) from error


def _with_cluster(kubeconfig: dict[str, Any], config: Config) -> dict[str, Any]:
    """Let the chosen context lead to the configured cluster."""
    if config.cluster is None:
        return kubeconfig
    chosen = config.context or kubeconfig.get("current-context")
    contexts = [
        {**entry, "context": {**entry["context"], "cluster": config.cluster}} if entry["name"] == chosen else entry
        for entry in kubeconfig["contexts"]
    ]
    return {**kubeconfig, "contexts": contexts}


def _refusal(status: int, data: bytes) -> ApiError:
    try:
        body = json.loads(data)
    except ValueError:
        body = {}
    if not isinstance(body, dict) or "message" not in body:
        return ApiError(status, "", data.decode(errors="replace").strip()[:500] or f"HTTP status {status}")
    details = body.get("details") or {}
    return ApiError(status, body.get("reason") or "", body["message"], details.get("kind") or "")


def _may_pass(error: ApiError | UnreachableError) -> bool:
    if isinstance(error, UnreachableError) or error.status in _TRANSIENT:
        return True
    return error.status == 500 and any(text in error.message for text in _TRANSIENT_TEXTS)


def _cause(error: BaseException) -> str:
    """Name the innermost cause; the outer ones repeat the address and the pool."""
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason:
        return _cause(error.reason)
    text = str(error).split(": ", 1)[-1] if isinstance(error, urllib3.exceptions.NewConnectionError) else str(error)
    return text or type(error).__name__
