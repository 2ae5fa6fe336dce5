"""Requests to the cloud's services: JSON in and out, the cloud's own reasons as errors."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, quote, urlsplit

import openstack
from keystoneauth1 import exceptions as failures
from openstack import exceptions as sdk_failures
from openstack.connection import Connection

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.config import Config
from refsys.infra.plugins.openstack.errors import CloudError, NoAnswerError, UnreachableError
from refsys.infra.plugins.openstack.together import Collections

SECONDS = 120
"""The longest that one answer may take."""
TRIES = 5
_BUSY = (429, 502, 503, 504)
# Tags at a server's creation, its flavor within it, server groups with one policy; every cloud since 2018.
_COMPUTE = "2.64"
# Volumes grow while they are attached.
_VOLUMES = "3.42"
_MICROVERSIONS = {"compute": _COMPUTE, "block_storage": _VOLUMES}


class Api:
    """One project of one cloud."""

    def __init__(self, config: Config) -> None:
        """Keep how to reach it; nothing is asked yet."""
        self._config = config
        self._connection: Connection | None = None
        self._warm: set[str] = set()
        self._lock = threading.Lock()
        self.collections = Collections()
        self._turns: dict[str, threading.Lock] = {}
        self.flavor_named = cache(self._flavor_named)
        self.image_named = cache(self._image_named)
        self.external_networks = cache(self._external_networks)

    @property
    def region(self) -> str | None:
        """The region's name, where one is given."""
        return self._config.region or (self._connection.config.region_name if self._connection else None)

    @property
    def project(self) -> str:
        """The id of the project."""
        with _explained("log-in"):
            return str(self._connected().current_project_id)

    def get(self, service: str, path: str, **query: Any) -> Properties | None:
        """Read an object; None where it does not exist."""
        try:
            return self._answer(service, "GET", path, params=query)
        except CloudError as error:
            if error.status == 404:
                return None
            raise

    def all(self, service: str, path: str, member: str, **query: Any) -> Iterator[Properties]:
        """Read a whole collection, page by page."""
        while True:
            page = self._answer(service, "GET", path, params=query)
            yield from page[member]
            links = page.get(f"{member}_links") or []
            following = page.get("next") or next((link["href"] for link in links if link["rel"] == "next"), None)
            if not following:
                return
            query = dict(parse_qsl(urlsplit(following).query))

    def send(self, service: str, method: str, path: str, body: Any = None, **options: Any) -> Properties:
        """Change something."""
        return self._answer(service, method, path, json=body, **options)

    def turn(self, name: str) -> threading.Lock:
        """What only one operation at a time may do holds this."""
        with self._lock:
            return self._turns.setdefault(name, threading.Lock())

    def delete(self, service: str, path: str) -> None:
        """Remove an object; one that is gone is fine."""
        try:
            self._answer(service, "DELETE", path)
        except CloudError as error:
            if error.status != 404:
                raise

    def _answer(self, service: str, method: str, path: str, **options: Any) -> Properties:
        repeats = TRIES if method in ("GET", "DELETE", "PUT") else 1
        for left in reversed(range(repeats)):
            try:
                return self._once(service, method, path, **options)
            except (NoAnswerError, UnreachableError):
                if not left:
                    raise
                time.sleep(2 ** (repeats - left - 1) / 2)
        raise AssertionError("the last try returns or raises")

    def _once(self, service: str, method: str, path: str, **options: Any) -> Properties:
        options = {key: value for key, value in options.items() if value not in (None, {})}
        if service in _MICROVERSIONS:
            options["microversion"] = _MICROVERSIONS[service]
        response = self._asked(service, method, path, **options)
        if response.status_code in _BUSY:
            raise NoAnswerError(f"{method} {service} {path}: {_reason(response)} (HTTP {response.status_code})")
        if response.status_code >= 400:
            raise CloudError(response.status_code, _reason(response))
        return response.json() if response.content and "json" in response.headers.get("Content-Type", "") else {}

    def upload(self, service: str, path: str, content: BinaryIO) -> None:
        """Send a file's content."""
        headers = {"Content-Type": "application/octet-stream"}
        response = self._asked(service, "PUT", path, data=content, headers=headers)
        if response.status_code >= 400:
            raise CloudError(response.status_code, _reason(response))

    def objects(self, container: str) -> list[str]:
        """The names of all objects of a container."""
        names: list[str] = []
        while True:
            marker = quote(names[-1]) if names else ""
            path = f"/{container}?format=json&marker={marker}"
            page = self._asked("object_store", "GET", path).json()
            if not page:
                return names
            names += [item["name"] for item in page]

    def headers(self, service: str, path: str) -> Mapping[str, str] | None:
        """The headers of an object that has no more (a container); None where it does not exist."""
        response = self._asked(service, "HEAD", path)
        if response.status_code == 404:
            return None
        if response.status_code >= 400:
            raise CloudError(response.status_code, _reason(response))
        return dict(response.headers)

    def put_headers(self, service: str, path: str, headers: Mapping[str, str], method: str = "PUT") -> int:
        """Make or change an object that has only headers; returns the HTTP status."""
        response = self._asked(service, method, path, headers=headers)
        if response.status_code >= 400:
            raise CloudError(response.status_code, _reason(response))
        return int(response.status_code)

    def _asked(self, service: str, method: str, path: str, **options: Any) -> Any:
        with _explained(f"{method} {service} {path}"):
            return self._adapter(service).request(
                path, method, raise_exc=False, connect_retries=0, timeout=SECONDS, **options
            )

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = _connect(self._config)
            return self._connection

    def _adapter(self, service: str) -> Any:
        connection = self._connected()
        with self._lock:
            adapter = getattr(connection, service)
            if service not in self._warm:
                # What is looked up once, the endpoint and its versions, is not looked up by many threads at once.
                if not _offered(adapter):
                    raise PluginError(
                        f"provider openstack: this cloud has no {service.replace('_', ' ')} service in region "
                        f"{self._config.region or 'of the configuration'}\n  fix: openstack catalog list shows those "
                        "it has; leave out what needs the other one"
                    )
                self._warm.add(service)
            return adapter

    def _flavor_named(self, name: str) -> str:
        flavors = {item["name"]: item["id"] for item in self.all("compute", "/flavors/detail", "flavors")}
        if name not in flavors:
            raise PluginError(f"no flavor is called {name}\n  fix: take one of {', '.join(sorted(flavors))}")
        return str(flavors[name])

    def _image_named(self, name: str) -> str:
        images = [item["id"] for item in self.all("image", "/images", "images", name=name)]
        if len(images) != 1:
            found = "no image is" if not images else f"{len(images)} images are"
            raise PluginError(f"{found} called {name}\n  fix: openstack image list shows them; give imageId")
        return str(images[0])

    def external_network_name(self, identity: str) -> str:
        """The name of an external network; its id where it has no name here."""
        return next((name for name, known in self.external_networks().items() if known == identity), identity)

    def _external_networks(self) -> dict[str, str]:
        query = {"router:external": True}
        return {item["name"]: item["id"] for item in self.all("network", "/networks", "networks", **query)}

    def external_network(self, name: str) -> str:
        """The id of an external network, given by name or id."""
        networks = self.external_networks()
        by_id = {identity: identity for identity in networks.values()}
        if name not in {**networks, **by_id}:
            choice = f"take one of {', '.join(sorted(networks))}" if networks else "let the cloud's operator share one"
            raise PluginError(f"no external network is called {name}\n  fix: {choice}")
        return str({**by_id, **networks}[name])


@contextmanager
def _explained(request: str) -> Iterator[None]:
    """Turn what goes wrong on the way into errors that say whether the cloud was asked."""
    try:
        yield
    except (failures.ConnectTimeout, failures.RequestTimeout) as error:
        raise NoAnswerError(f"the cloud gave no answer to {request}: {error}") from error
    except failures.ConnectFailure as error:
        # A connection that broke may have brought the request there.
        broken = "Connection aborted" in str(error) or "Read timed out" in str(error)
        told = f"no answer from the cloud to {request}: {error}"
        raise (NoAnswerError if broken else UnreachableError)(told) from error
    except failures.HttpError as error:  # of the log-in
        raise CloudError(error.http_status, str(error.message or error)) from error
    except (sdk_failures.SDKException, failures.ClientException) as error:
        raise PluginError(f"provider openstack: {error}") from error


def _offered(adapter: Any) -> bool:
    try:
        return adapter.get_endpoint() is not None
    except sdk_failures.ServiceDisabledException:
        return False


def _connect(config: Config) -> Connection:
    try:
        # Given in full, no file of this machine plays into it.
        by_name = "auth" not in config.arguments
        return openstack.connect(load_yaml_config=by_name, app_name="pulumi-resource-openstack", **config.arguments)
    except sdk_failures.SDKException as error:
        raise PluginError(
            f"provider openstack: {error}\n  fix: name an entry of clouds.yaml, or give authUrl with an application "
            "credential; try it: openstack --os-cloud NAME token issue"
        ) from error


def _reason(response: Any) -> str:
    """The cloud's own words, which each service wraps in its own way."""
    try:
        body = response.json()
    except ValueError:
        return response.text.strip()[:500] or str(response.reason)
    if isinstance(body, dict):
        inner = next((item for item in body.values() if isinstance(item, dict)), body)
        for key in ("message", "faultstring", "detail"):
            if isinstance(inner.get(key), str) and inner[key]:
                return str(inner[key])
    return str(body)[:500]
