"""A cloud in memory behind the plugin's requests, and an engine that calls the plugin as the real one does."""

import hashlib
import itertools
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NoReturn

import grpc
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, status_pb2

from refsys.infra.plugins.common.values import decode, encode
from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.kinds import KINDS
from refsys.infra.plugins.openstack.server import Provider
from refsys.infra.plugins.openstack.together import Collections

URN = "urn:pulumi:test::refsys::{type}::{name}"
_OBJECT = re.compile(r"^(?P<place>/.*?)/(?P<id>[^/]+)$")


class MemoryCloud:
    """Objects by service and path; `before` may refuse or break a request, `after` lose its answer."""

    project = "project"
    region = "here"

    def __init__(self) -> None:
        self.collections = Collections()
        self.turns: dict[str, threading.Lock] = {}
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.before: Callable[[str, str, Any], None] = lambda method, path, body: None
        self.after: Callable[[str, str, Any], None] = lambda method, path, body: None
        self.new: dict[str, Any] = {}
        """Fields of what is made next, beside those that are asked for."""
        self._ids = itertools.count(1)

    def turn(self, name: str) -> threading.Lock:
        return self.turns.setdefault(name, threading.Lock())

    def add(self, service: str, place: str, **values: Any) -> dict[str, Any]:
        item = {"id": f"id-{next(self._ids)}", "tags": [], **values}
        self.objects[service, f"{place}/{item['id']}"] = item
        return item

    def named(self, name: str) -> list[dict[str, Any]]:
        return [item for item in self.objects.values() if item.get("name") == name]

    def get(self, service: str, path: str, **query: Any) -> Any:
        self.requests.append(("GET", path, query))
        self.before("GET", path, query)
        item = self.objects.get((service, path))
        if item is None or path.startswith("/images"):
            return dict(item) if item else None
        return {_member(path): dict(item)}

    def all(self, service: str, path: str, member: str, **query: Any) -> Iterator[dict[str, Any]]:
        place = path.removesuffix("/detail")
        for (owner, where), item in list(self.objects.items()):
            found = _OBJECT.match(where)
            if owner == service and found and found["place"] == place:
                asked = {key: value for key, value in query.items() if key != "project_id"}
                if all(item.get(key) == value for key, value in asked.items()):
                    yield dict(item)

    def send(self, service: str, method: str, path: str, body: Any = None, **options: Any) -> Any:
        self.requests.append((method, path, body))
        self.before(method, path, body)
        answer = self._carried_out(service, method, path, body)
        self.after(method, path, body)
        return answer

    def _carried_out(self, service: str, method: str, path: str, body: Any) -> Any:
        if path.endswith("/tags"):
            self.objects[service, path.removesuffix("/tags")]["tags"] = body["tags"]
            return {"tags": body["tags"]}
        if path.endswith("/action"):
            return {}
        if method == "POST":
            if path == "/images":
                return dict(self.add(service, path, **{**body, "status": "queued", **self.new}))
            member, values = next(iter(body.items()))
            return {member: dict(self.add(service, path, **{"status": "ACTIVE", **values, **self.new}))}
        if method == "DELETE":
            self.objects.pop((service, path), None)
            return {}
        item = self.objects.get((service, path))
        if item is None:
            raise CloudError(404, f"{path} could not be found")
        item.update(next(iter(body.values())))
        return {next(iter(body)): dict(item)}

    def delete(self, service: str, path: str) -> None:
        self.requests.append(("DELETE", path, None))
        self.before("DELETE", path, None)
        self.objects.pop((service, path), None)

    def upload(self, service: str, path: str, content: BinaryIO) -> None:
        item = self.objects[service, path.removesuffix("/file")]
        digest = hashlib.sha512(content.read()).hexdigest()
        item.update(status="active", os_hash_algo="sha512", os_hash_value=item.get("other_hash", digest))

    def headers(self, service: str, path: str) -> Any:
        return self.objects.get((service, path))

    def put_headers(self, service: str, path: str, headers: dict[str, str], method: str = "PUT") -> int:
        self.objects.setdefault((service, path), {}).update(headers)
        return 201

    def flavor_named(self, name: str) -> str:
        return f"flavor-{name}"

    def image_named(self, name: str) -> str:
        return f"image-{name}"

    def external_network(self, name: str) -> str:
        return f"net-{name}"

    def external_network_name(self, identity: str) -> str:
        return identity.removeprefix("net-")


_MEMBERS = {"/flavors": "flavor"} | {
    kind.path: kind.member for kind in KINDS.values() if kind.urn_type.rpartition(":")[2] != "VolumeAttach"
}


def _member(path: str) -> str:
    return _MEMBERS[path.rpartition("/")[0]]


class Refused(Exception):  # noqa: N818 what the plugin answered
    """The plugin answered with an error; `state` is there where the object was made all the same."""

    def __init__(self, message: str, state: Any = None) -> None:
        super().__init__(message)
        self.state = state


class _Context:
    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise Refused(details)

    def abort_with_status(self, status: Any) -> NoReturn:
        packed = status_pb2.Status.FromString(status.trailing_metadata[0][1]).details[0]
        state = provider_pb2.ErrorResourceInitFailed()
        packed.Unpack(state)
        raise Refused(status.details, state)


class Engine:
    """Calls the plugin as the engine does; one object is one run."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self.provider = Provider(None)
        self.provider._api = cloud  # type: ignore[assignment]

    def check(self, type_name: str, name: str, inputs: dict[str, Any], old: dict[str, Any] | None = None) -> Struct:
        request = provider_pb2.CheckRequest(
            urn=URN.format(type=type_name, name=name),
            type=type_name,
            name=name,
            news=encode(inputs),
            olds=encode(old or {}),
            randomSeed=secrets.token_bytes(16),
        )
        answer = self.provider.Check(request, _Context())
        if answer.failures:
            raise Refused("\n".join(failure.reason for failure in answer.failures))
        return answer.inputs

    def create(self, type_name: str, name: str, inputs: dict[str, Any], **options: Any) -> provider_pb2.CreateResponse:
        request = provider_pb2.CreateRequest(
            urn=URN.format(type=type_name, name=name), properties=self.check(type_name, name, inputs), **options
        )
        return self.provider.Create(request, _Context())

    def diff(
        self, type_name: str, old: dict[str, Any], new: dict[str, Any], state: dict[str, Any] | None = None
    ) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            id="id-1",
            urn=URN.format(type=type_name, name="x"),
            old_inputs=encode(old),
            news=encode(new),
            olds=encode(state or old),
        )
        return self.provider.Diff(request, _Context())

    def update(
        self, type_name: str, name: str, identity: str, old: dict[str, Any], new: dict[str, Any]
    ) -> provider_pb2.UpdateResponse:
        request = provider_pb2.UpdateRequest(
            id=identity, urn=URN.format(type=type_name, name=name), old_inputs=encode(old), news=encode(new)
        )
        return self.provider.Update(request, _Context())

    def read(
        self, type_name: str, name: str, identity: str, inputs: dict[str, Any] | None = None
    ) -> provider_pb2.ReadResponse:
        request = provider_pb2.ReadRequest(
            id=identity, urn=URN.format(type=type_name, name=name), inputs=encode(inputs or {})
        )
        return self.provider.Read(request, _Context())

    def delete(self, type_name: str, name: str, identity: str, inputs: dict[str, Any] | None = None) -> None:
        request = provider_pb2.DeleteRequest(
            id=identity, urn=URN.format(type=type_name, name=name), old_inputs=encode(inputs or {})
        )
        self.provider.Delete(request, _Context())


def plain(struct: Struct) -> dict[str, Any]:
    """Properties without the plugin's own."""
    return {key: value for key, value in decode(struct).value.items() if not key.startswith("__")}
