# ruff: noqa: N802 - the methods have the names of the protocol
"""The gRPC service that the engine calls; each call is passed on to the resource's type."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from refsys.infra.plugins.common.answers import InitializationFailed, answering_errors, changes, diff_response
from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.progress import Engine, Progress
from refsys.infra.plugins.common.values import UNKNOWN, Decoded, Properties, decode, encode, secrets_of_outputs
from refsys.infra.plugins.openstack import config as provider_config
from refsys.infra.plugins.openstack.config import Config
from refsys.infra.plugins.openstack.errors import CloudError, NotReadyError
from refsys.infra.plugins.openstack.inputs import FAILED, compare, failures, live_inputs, prepared
from refsys.infra.plugins.openstack.kinds import KINDS
from refsys.infra.plugins.openstack.kinds.base import Kind
from refsys.infra.plugins.openstack.marks import ATTEMPT, Ledger, mark_of
from refsys.infra.plugins.openstack.work import Work

if TYPE_CHECKING:
    from refsys.infra.plugins.openstack.api import Api

_PACKAGE = "pulumi-openstack"


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one Pulumi provider, that is one project of one cloud."""

    def __init__(self, engine_address: str | None) -> None:
        """Serve for the engine at `engine_address`; the cloud is named by `Configure`."""
        self._engine = Engine(engine_address)
        self._config = Config()
        self._api: Api | None = None
        self._ledger = Ledger()
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version of the vendor's package that this plugin serves."""
        return plugin_pb2.PluginInfo(version=version(_PACKAGE))

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return name and version; the types themselves are in the vendor's SDK."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "openstack", "version": version(_PACKAGE)}))

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> Empty:
        """Take the address of the engine that this process now serves."""
        self._engine = Engine(request.address)
        return Empty()

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """End every wait."""
        self._cancelled.set()
        return Empty()

    @answering_errors
    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Validate the provider's properties and keep credentials secret."""
        news = decode(request.news)
        refused = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in provider_config.check(news.value)
        ]
        secrets = news.secrets | {(name,) for name in provider_config.SECRET}
        return provider_pb2.CheckResponse(inputs=encode(news.value, secrets), failures=refused)

    @answering_errors
    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare the provider's properties; another cloud or project replaces the provider and all it made."""
        old, new = decode(request.old_inputs).value or decode(request.olds).value, decode(request.news).value
        changed = [key for key in {**old, **new} if key != "version" and old.get(key) != new.get(key)]
        cause = provider_config.needs_replacement(old, new)
        return provider_pb2.DiffResponse(
            changes=changes(bool(changed)), diffs=changed, replaces=[cause] if cause else []
        )

    @answering_errors
    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the provider's properties; the cloud is not called before it is needed."""
        given = decode(request.args).value if request.HasField("args") else {}
        variables = {key.rpartition(":")[2]: value for key, value in request.variables.items()}
        self._config = Config.read({**variables, **given})
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @answering_errors
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Validate a resource's inputs; give it a name where it has none."""
        news, olds = decode(request.news), decode(request.olds).value
        kind = KINDS.get(request.type)
        if kind is None:
            reason = f"{request.type} is not served by this plugin; served are {', '.join(sorted(KINDS))}"
            return provider_pb2.CheckResponse(failures=[provider_pb2.CheckFailure(reason=reason)])
        refused = [provider_pb2.CheckFailure(property=key, reason=reason) for key, reason in failures(kind, news.value)]
        if refused:
            return provider_pb2.CheckResponse(failures=refused)
        name = request.name or request.urn.rpartition("::")[2]
        inputs = prepared(kind, news.value, olds, name, request.randomSeed)
        self._ledger.add(request.urn, olds.get(ATTEMPT))
        self._ledger.add(request.urn, inputs[ATTEMPT])
        return provider_pb2.CheckResponse(inputs=encode(inputs, news.secrets))

    @answering_errors
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare inputs; the cloud is not called."""
        kind = _kind(request.urn)
        old, new = decode(request.old_inputs).value, decode(request.news).value
        return diff_response(compare(kind, old, new, decode(request.olds).value))

    @answering_errors
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make an object and wait until it is ready; a preview tells what will be known."""
        kind, inputs = _kind(request.urn), decode(request.properties)
        kind = kind.bound(inputs.value, "")
        if request.preview:
            later = dict.fromkeys([*kind.outputs, *(key for key in kind.fields if kind.fields[key].computed)], UNKNOWN)
            return provider_pb2.CreateResponse(properties=encode({**later, **inputs.value}, inputs.secrets))
        work = self._work(request.urn, kind, request.timeout, inputs.value)
        with _named(kind, inputs.value):
            try:
                live = kind.create(self._connected(), work, inputs.value)
            except NotReadyError as error:
                raise self._not_ready(kind, error, inputs) from error
        return provider_pb2.CreateResponse(id=kind.identity(live), properties=self._outputs(kind, live, inputs))

    @answering_errors
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change an object in place and wait until it is ready."""
        kind, inputs = _kind(request.urn), decode(request.news)
        old, state = decode(request.old_inputs).value, decode(request.olds)
        if request.preview:
            expected = {**state.value, **inputs.value}
            return provider_pb2.UpdateResponse(properties=encode(expected, inputs.secrets | state.secrets))
        kind = kind.bound(inputs.value, request.id)
        work = self._work(request.urn, kind, request.timeout, inputs.value)
        with _named(kind, inputs.value):
            try:
                live = kind.update(self._connected(), work, request.id, old, inputs.value)
            except NotReadyError as error:
                raise self._not_ready(kind, error, inputs) from error
        return provider_pb2.UpdateResponse(properties=self._outputs(kind, live, inputs))

    @answering_errors
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read an object as it is in the cloud, with the inputs that would make it so."""
        inputs = decode(request.inputs)
        kind = _kind(request.urn).bound(inputs.value, request.id)
        with _named(kind, inputs.value):
            live = kind.look(self._connected(), request.id)
        if live is None:
            return provider_pb2.ReadResponse()
        api = self._connected()
        now = live_inputs(kind, inputs.value, kind.told(api, live), kind.more(api, live))
        now |= {} if inputs.value else kind.imported(api, live)
        self._ledger.add(request.urn, now.get(ATTEMPT))
        known = Decoded(now, inputs.secrets)
        return provider_pb2.ReadResponse(
            id=kind.identity(live), properties=self._outputs(kind, live, known), inputs=encode(now, inputs.secrets)
        )

    @answering_errors
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        """Remove an object and wait until it is gone."""
        old = decode(request.old_inputs).value or decode(request.properties).value
        kind = _kind(request.urn).bound(old, request.id)
        work = self._work(request.urn, kind, request.timeout, old)
        with _named(kind, old):
            kind.delete(self._connected(), work, request.id, old)
        return Empty()

    @answering_errors
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: there are no functions here."""
        raise PluginError(f"function {request.tok} is not served by this plugin; give ids or names as inputs")

    def _work(self, urn: str, kind: Kind, seconds: float, inputs: Properties) -> Work:
        mark = mark_of(urn, str(inputs.get(ATTEMPT) or "import"))
        progress = Progress(self._engine, urn)
        return Work(urn, mark, self._ledger, progress, self._cancelled, seconds or kind.seconds)

    def _connected(self) -> "Api":
        if not self._config.known:
            raise PluginError("provider openstack: its configuration is not known yet")
        with self._lock:
            if self._api is None:
                from refsys.infra.plugins.openstack.api import Api  # noqa: PLC0415 takes a second

                self._api = Api(self._config)
            return self._api

    def _outputs(self, kind: Kind, live: Properties, inputs: Decoded, *, failed: bool = False) -> Struct:
        """The inputs as they are now, with what the cloud adds; what was secret stays so."""
        api = self._connected()
        told = {key: value for key, value in kind.told(api, live).items() if value is not None}
        known = {**told, **inputs.value, **kind.more(api, live), "region": inputs.value.get("region") or api.region}
        known |= {key: told[key] for key, field in kind.fields.items() if field.computed and key in told}
        known |= kind.disguised(inputs.value)
        if failed or kind.failed(live):
            known[FAILED] = True
        secrets = secrets_of_outputs(inputs.secrets) | {(key,) for key in kind.secret_outputs}
        return encode(known, secrets)

    def _not_ready(self, kind: Kind, error: NotReadyError, inputs: Decoded) -> InitializationFailed:
        state = provider_pb2.ErrorResourceInitFailed(
            id=error.identity,
            properties=self._outputs(kind, error.live, inputs, failed=error.broken),
            inputs=encode(inputs.value, inputs.secrets),
        )
        return InitializationFailed(f"{_title(kind, inputs.value)}: {error}", state)


def _kind(urn: str) -> Kind:
    kind = KINDS.get(urn.split("::")[2].rpartition("$")[2])
    if kind is None:
        raise PluginError(f"{urn} is of a type that this plugin does not serve")
    return kind


@contextmanager
def _named(kind: Kind, inputs: Properties) -> Iterator[None]:
    """Errors say which resource they are about."""
    try:
        yield
    except NotReadyError:
        raise
    except CloudError as error:
        raise PluginError(f"{_title(kind, inputs)}: {error.advised()}") from error
    except PluginError as error:
        raise PluginError(f"{_title(kind, inputs)}: {error}") from error


def _title(kind: Kind, inputs: Properties) -> str:
    return f"{kind.title} {inputs['name']}" if inputs.get("name") else kind.title
