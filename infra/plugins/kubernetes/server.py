# ruff: noqa: N802 - the methods have the names of the protocol
"""The gRPC service that the engine calls; each call is passed on to the part that does the work."""

import json
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from refsys.infra.plugins.common.answers import answering_errors, changes, diff_response
from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.paths import parse_path
from refsys.infra.plugins.common.progress import Engine, Progress
from refsys.infra.plugins.common.values import (
    Decoded,
    Properties,
    decode,
    encode,
    has_unknown,
    without_nulls,
)
from refsys.infra.plugins.kubernetes import config as provider_config
from refsys.infra.plugins.kubernetes.answers import id_of, initialization_failed, input_secrets, outputs, refusal
from refsys.infra.plugins.kubernetes.config import Config
from refsys.infra.plugins.kubernetes.diff import compare
from refsys.infra.plugins.kubernetes.drift import live_inputs
from refsys.infra.plugins.kubernetes.errors import NotReadyError, UnreachableError
from refsys.infra.plugins.kubernetes.objects import kind_of, metadata_of, split_id, with_autoname, with_wire_names

if TYPE_CHECKING:
    from refsys.infra.plugins.kubernetes.apply import Cluster


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one Pulumi provider, that is one cluster."""

    def __init__(self, engine_address: str | None) -> None:
        """Serve for the engine at `engine_address`; the cluster is named by `Configure`."""
        self._engine = Engine(engine_address)
        self._config = Config()
        self._cluster: Cluster | None = None
        self._offline = False
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version of the vendor's package that this plugin serves."""
        return plugin_pb2.PluginInfo(version=version("pulumi-kubernetes"))

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return name and version; the types themselves are in the vendor's SDK."""
        schema = {"name": "kubernetes", "version": version("pulumi-kubernetes")}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

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
        """Validate the provider's properties and keep the kubeconfig secret."""
        news = decode(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in provider_config.check(news.value)
        ]
        secrets = news.secrets | {("kubeconfig",)}
        return provider_pb2.CheckResponse(inputs=encode(news.value, secrets), failures=failures)

    @answering_errors
    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare the provider's properties; another cluster replaces the provider and all its objects."""
        old, new = decode(request.old_inputs).value or decode(request.olds).value, decode(request.news).value
        changed = [key for key in {**old, **new} if key != "version" and old.get(key) != new.get(key)]
        cause = provider_config.needs_replacement(old, new)
        kinds = provider_pb2.PropertyDiff.Kind
        details = {
            key: provider_pb2.PropertyDiff(kind=kinds.UPDATE_REPLACE if key == cause else kinds.UPDATE, inputDiff=True)
            for key in changed
        }
        return provider_pb2.DiffResponse(
            changes=changes(bool(changed)),
            diffs=changed,
            replaces=[cause] if cause else [],
            detailedDiff=details,
            hasDetailedDiff=True,
        )

    @answering_errors
    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the provider's properties; the cluster is not called before it is needed."""
        given = decode(request.args).value if request.HasField("args") else {}
        variables = {key.rpartition(":")[2]: value for key, value in request.variables.items()}
        self._config = Config.read({**variables, **given})
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @answering_errors
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Validate an object's inputs; give it a name and the provider's namespace where it has none."""
        news = decode(request.news)
        inputs = with_wire_names(without_nulls(news.value))
        kind = kind_of(inputs, request.type)
        refused = refusal(request.type, inputs)
        if refused:
            return provider_pb2.CheckResponse(failures=[refused])
        inputs = with_autoname(inputs, request.name, request.randomSeed, decode(request.olds).value)
        if self._config.namespace and kind.always_namespaced and isinstance(inputs.get("metadata", {}), dict):
            inputs["metadata"] = {"namespace": self._config.namespace, **metadata_of(inputs)}
        return provider_pb2.CheckResponse(inputs=encode(inputs, news.secrets))

    @answering_errors
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare inputs; the cluster is not called."""
        old, new = decode(request.old_inputs).value, decode(request.news).value
        namespaces = split_id(request.id)[0], provider_config.default_namespace(self._config)
        return diff_response(compare(old, new, self._config, namespaces))

    @answering_errors
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make an object and wait until it is ready; in a preview, let the API server check it where it can."""
        inputs = decode(request.properties)
        if request.preview:
            self._rehearse(request.urn, inputs, exists=False)
            return provider_pb2.CreateResponse(properties=encode(inputs.value, inputs.secrets))
        kind = kind_of(inputs.value)
        try:
            live = self._connected().apply(kind, inputs.value, self._progress(request.urn), request.timeout)
        except NotReadyError as error:
            raise initialization_failed(error, inputs) from error
        return provider_pb2.CreateResponse(id=id_of(live), properties=outputs(live, inputs))

    @answering_errors
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change an object and wait until it is ready."""
        inputs = decode(request.news)
        name = split_id(request.id)[1]
        if request.preview:
            expected = self._rehearse(request.urn, inputs, exists=True, name=name)
            properties = outputs(expected, inputs) if expected else encode(inputs.value, inputs.secrets)
            return provider_pb2.UpdateResponse(properties=properties)
        ignored = [parse_path(path) for path in request.ignoreChanges]
        try:
            live = self._connected().apply(
                kind_of(inputs.value),
                inputs.value,
                self._progress(request.urn),
                request.timeout,
                name=name,
                ignored=ignored,
            )
        except NotReadyError as error:
            raise initialization_failed(error, inputs) from error
        return provider_pb2.UpdateResponse(properties=outputs(live, inputs))

    @answering_errors
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read an object as it is in the cluster, with the inputs that would make it so.

        Of a cluster that doesn't answer nothing is known: with `delete_unreachable` the state lets go of the object,
        and the update that follows applies it to the cluster that is there by then.
        """
        inputs, last = decode(request.inputs), decode(request.properties)
        kind = kind_of(inputs.value or last.value, request.type)
        namespace, name = split_id(request.id)
        cluster = self._connected()
        try:
            live = cluster.read(kind, namespace, name)
        except UnreachableError as silence:
            if not self._config.delete_unreachable:
                raise
            self._progress(request.urn).warn(f"{kind.name} {name} is dropped from the state: {silence}")
            return provider_pb2.ReadResponse()
        if live is None:
            return provider_pb2.ReadResponse()
        now = Decoded(live_inputs(inputs.value, last.value, live), input_secrets(inputs, live))
        state = cluster.state(kind, live, now.value)
        if state is not None and not state.ready:
            message = f"{kind.name} {request.id} is not ready"
            error = NotReadyError("\n".join([message, *cluster.explain(live, state)]), live)
            raise initialization_failed(error, now)
        return provider_pb2.ReadResponse(
            id=id_of(live), properties=outputs(live, now), inputs=encode(now.value, now.secrets)
        )

    @answering_errors
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        """Delete an object and wait until it is gone."""
        old = decode(request.properties).value or decode(request.old_inputs).value
        namespace, name = split_id(request.id)
        kind = kind_of(old, request.type)
        self._connected().delete(
            kind, namespace, name, old, progress=self._progress(request.urn), timeout=request.timeout
        )
        return Empty()

    @answering_errors
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: there are no functions here."""
        raise PluginError(
            f"function {request.tok} is not served by this plugin; declare the objects as resources of the program"
        )

    def _progress(self, urn: str) -> Progress:
        return Progress(self._engine, urn)

    def _connected(self) -> "Cluster":
        if not self._config.known:
            raise PluginError("provider kubernetes: the kubeconfig is not known yet")
        with self._lock:
            if self._cluster is None:
                from refsys.infra.plugins.kubernetes.apply import Cluster  # noqa: PLC0415 takes half a second

                self._cluster = Cluster(self._config, self._cancelled)
            return self._cluster

    def _rehearse(self, urn: str, inputs: Decoded, *, exists: bool, name: str | None = None) -> Properties | None:
        if self._offline or not self._config.known or has_unknown(inputs.value):
            return None
        try:
            return self._connected().rehearse(kind_of(inputs.value), inputs.value, exists=exists, name=name)
        except UnreachableError as error:
            self._offline = True
            self._engine.warn(urn, f"previewed without the cluster: {error}")
            return None
