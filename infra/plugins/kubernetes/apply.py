"""Make, change, read and delete objects, and wait for what Kubernetes makes of them."""

import base64
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from refsys.infra.plugins.common.errors import CancelledError, PluginError
from refsys.infra.plugins.common.progress import Progress
from refsys.infra.plugins.common.values import Path, Properties, value_at
from refsys.infra.plugins.kubernetes.api import Api, Resource
from refsys.infra.plugins.kubernetes.config import Config, default_namespace
from refsys.infra.plugins.kubernetes.errors import ApiError, NoKindError, NotReadyError, UnreachableError
from refsys.infra.plugins.kubernetes.objects import (
    SKIP_AWAIT,
    TIMEOUT_SECONDS,
    Kind,
    annotations_of,
    is_true,
    metadata_of,
    name_of,
)
from refsys.infra.plugins.kubernetes.readiness import State, check_for, diagnose

_PREREQUISITE_SECONDS = 60.0
"""How long to wait for a kind or a namespace that the same update makes."""
_DELETE_SECONDS = 600.0
_POLL_SECONDS = (0.25, 2.0)
"""The first and the longest pause between two looks at an object."""
_LOG_LINES = 10
T = TypeVar("T")


class Cluster:
    """The objects of one cluster; used by all threads."""

    def __init__(self, config: Config, cancelled: threading.Event) -> None:
        """Load credentials; nothing is sent yet. Every wait ends with an error once `cancelled` is set."""
        self._cancelled = cancelled
        self._config = config
        self._api = Api(config, self._pause)
        self.default_namespace = default_namespace(config)

    def apply(
        self,
        kind: Kind,
        inputs: Properties,
        progress: Progress,
        timeout: float,
        *,
        name: str | None = None,
        ignored: Sequence[Path] = (),
    ) -> Properties:
        """Make or change an object and wait until it is ready; return it as it is then.

        `name` is that of an existing object whose name the server chose, `timeout` is in seconds (0 for the kind's
        default). Raises `NotReadyError` when the object exists but does not get ready.
        """
        deadline = time.monotonic() + _PREREQUISITE_SECONDS
        resource = self._resource_when_served(kind, deadline, progress)
        namespace = self.namespace_of(resource, inputs)
        name = name or name_of(inputs)
        if name and ignored:
            inputs = self._with_ignored(inputs, ignored, resource, namespace, name)
        while True:
            try:
                live = self._apply_once(resource, namespace, name, inputs)
            except ApiError as error:
                if not error.namespace_missing:
                    raise
                if time.monotonic() > deadline:
                    raise PluginError(
                        f"{kind.name} {name}: {error.message}, not even after {_PREREQUISITE_SECONDS:.0f} s; "
                        "make the namespace in the program and name the object's namespace after it"
                    ) from error
                progress.status(f"waits for namespace {namespace}")
            else:
                if not metadata_of(live).get("deletionTimestamp"):
                    return self._wait_ready(resource, live, inputs, progress, timeout)
                self._wait_gone(resource, live, progress, timeout or _DELETE_SECONDS)
            self._pause(1.0)

    def rehearse(self, kind: Kind, inputs: Properties, *, exists: bool, name: str | None = None) -> Properties | None:
        """Let the API server check the manifest without changing anything.

        Returns the object as it would be, or `None` where that can't be told before the update: its kind or namespace
        does not exist yet, or (`exists` false) an object of this name is to be replaced.
        """
        try:
            resource = self._api.resource(kind)
            namespace = self.namespace_of(resource, inputs)
            name = name or name_of(inputs)
            if name and not exists and self._get(resource, namespace, name) is not None:
                return None
            return self._apply_once(resource, namespace, name, inputs, dry_run=True)
        except NoKindError:
            return None
        except ApiError as error:
            if error.status in (400, 422) and "dry run" not in error.message:
                raise
            return None

    def read(self, kind: Kind, namespace: str | None, name: str) -> Properties | None:
        """Read an object; `None` when it, its namespace or its kind does not exist."""
        try:
            resource = self._api.resource(kind, fresh=True)
        except NoKindError:
            return None
        return self._get(resource, namespace or self.namespace_of(resource, {}), name)

    def delete(
        self, kind: Kind, namespace: str | None, name: str, old: Properties, *, progress: Progress, timeout: float
    ) -> None:
        """Delete an object and wait until it is gone; one that does not exist is fine."""
        try:
            live = self.read(kind, namespace, name)
            if live is None:
                return
            resource = self._api.resource(kind)
            try:
                self._api.delete(resource, metadata_of(live).get("namespace"), name)
            except ApiError as error:
                if error.not_found:
                    return
                raise
            if not is_true(annotations_of(old).get(SKIP_AWAIT)):
                self._wait_gone(resource, live, progress, timeout or _annotated_timeout(old) or _DELETE_SECONDS)
        except UnreachableError as error:
            if not self._config.delete_unreachable:
                raise
            progress.warn(f"{kind.name} {name} is dropped from the state without being deleted: {error}")

    def state(self, kind: Kind, live: Properties, inputs: Properties) -> State | None:
        """Look once whether an object is ready; `None` for kinds and objects that are not waited for."""
        check = check_for(kind)
        if check is None or is_true(annotations_of(inputs).get(SKIP_AWAIT)):
            return None
        return check[0](live, Reading(self._api))

    def explain(self, live: Properties, state: State) -> list[str]:
        """Say what an object lacks and why."""
        reasons: list[str] = _tolerant(lambda: diagnose(live, Reading(self._api)), [])
        return [state.missing, *reasons]

    def namespace_of(self, resource: Resource, inputs: Properties) -> str | None:
        """Return the namespace of an object, `None` for what lives outside namespaces."""
        return (metadata_of(inputs).get("namespace") or self.default_namespace) if resource.namespaced else None

    def _resource_when_served(self, kind: Kind, deadline: float, progress: Progress) -> Resource:
        while True:
            try:
                return self._api.resource(kind, fresh=True)
            except NoKindError as error:
                if time.monotonic() > deadline:
                    raise NoKindError(f"{error} (waited {_PREREQUISITE_SECONDS:.0f} s for it)") from error
            progress.status(f"waits for the cluster to serve {kind}")
            self._pause(1.0)

    def _apply_once(
        self, resource: Resource, namespace: str | None, name: str | None, inputs: Properties, *, dry_run: bool = False
    ) -> Properties:
        manifest = manifest_for(inputs, resource.kind)
        if name is None:
            return self._api.create(resource, namespace, manifest, dry_run)
        manifest["metadata"] = {**metadata_of(manifest), "name": name}
        return self._api.apply(resource, namespace, name, manifest, dry_run)

    def _with_ignored(
        self, inputs: Properties, ignored: Sequence[Path], resource: Resource, namespace: str | None, name: str
    ) -> Properties:
        live = self._get(resource, namespace, name)
        for path in ignored if live else ():
            inputs = with_value_of(inputs, live, path)
        return inputs

    def _get(self, resource: Resource, namespace: str | None, name: str) -> Properties | None:
        try:
            return self._api.get(resource, namespace, name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _wait_ready(
        self, resource: Resource, live: Properties, inputs: Properties, progress: Progress, timeout: float
    ) -> Properties:
        check = check_for(resource.kind)
        if check is None or is_true(annotations_of(inputs).get(SKIP_AWAIT)):
            return live
        seconds = timeout or _annotated_timeout(inputs) or check[1]
        deadline = time.monotonic() + seconds
        what = _label(resource, live)
        pause = _POLL_SECONDS[0]
        reading = Reading(self._api)
        while True:
            try:
                state = check[0](live, reading)
                if state.ready:
                    return live
                if state.failed:
                    raise NotReadyError("\n".join([f"{what} failed", *self.explain(live, state)]), live)
                if time.monotonic() > deadline:
                    late = f"{what} is not ready after {seconds:.0f} s"
                    raise NotReadyError("\n".join([late, *self.explain(live, state)]), live)
                progress.status(state.missing)
                self._pause(pause)
                pause = min(pause * 1.5, _POLL_SECONDS[1])
                now = self._get(resource, metadata_of(live).get("namespace"), live["metadata"]["name"])
            except (CancelledError, UnreachableError) as error:
                raise NotReadyError(f"{what} is made, but not seen to be ready: {error}", live) from error
            if now is None:
                raise PluginError(f"{what} was deleted by somebody else while it was waited for; run the update again")
            live = now

    def _wait_gone(self, resource: Resource, live: Properties, progress: Progress, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        metadata = metadata_of(live)
        pause = _POLL_SECONDS[0]
        while True:
            now = self._get(resource, metadata.get("namespace"), metadata["name"])
            if now is None or metadata_of(now).get("uid") != metadata.get("uid"):
                return
            held = _what_holds(now)
            if time.monotonic() > deadline:
                raise PluginError(
                    f"{_label(resource, live)} is not gone after {seconds:.0f} s; {held}. "
                    "See why the controller of that finalizer does not act, then run the command again"
                )
            progress.status(f"deleting; {held}")
            self._pause(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise CancelledError("the operation was cancelled; run the update again to go on")


class Reading:
    """Reads around an object for checks and diagnosis; what can't be read is absent."""

    def __init__(self, api: Api) -> None:
        """Read through this API."""
        self._api = api

    def get(self, kind: Kind, namespace: str | None, name: str) -> Properties | None:
        """Read an object."""
        return _tolerant(lambda: self._api.get(self._api.resource(kind), namespace, name), None)

    def list(self, kind: Kind, namespace: str | None, **query: str) -> list[Properties]:
        """Read objects by `labelSelector` or `fieldSelector`."""
        return _tolerant(lambda: self._api.list(self._api.resource(kind), namespace, **query), [])

    def log_tail(self, namespace: str, pod: str, container: str, previous: bool) -> str:
        """Return the last lines a container wrote."""
        return _tolerant(lambda: self._api.log_tail(namespace, pod, container, _LOG_LINES, previous), "")


def manifest_for(inputs: Properties, kind: Kind) -> Properties:
    """Return what is sent to the API server: `stringData` goes as `data`, so that a removed key is removed."""
    manifest = {**inputs, "apiVersion": kind.api_version, "kind": kind.name}
    if kind.group == "" and kind.name == "Secret" and isinstance(manifest.get("stringData"), dict):
        texts = manifest.pop("stringData")
        encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
        manifest["data"] = {**(manifest.get("data") or {}), **encoded}
    manifest.pop("status", None)
    return manifest


def with_value_of(target: Any, source: Any, path: Path) -> Any:
    """Return `target` with what `source` has at the path, if anything; `*` stands for all keys or indices."""
    if not path:
        return target if source is None else source
    step, rest = path[0], path[1:]
    if isinstance(target, dict) and isinstance(source, dict):
        keys = [key for key in source if step in ("*", key)]
        return {**target, **{key: with_value_of(target.get(key), source[key], rest) for key in keys}}
    if isinstance(target, list) and isinstance(source, list):
        return [
            with_value_of(item, value_at(source, (number,)), rest) if step in ("*", number) else item
            for number, item in enumerate(target)
        ]
    return target


def _annotated_timeout(inputs: Properties) -> float:
    text = annotations_of(inputs).get(TIMEOUT_SECONDS)
    if text is None:
        return 0.0
    try:
        return float(text)
    except (TypeError, ValueError):
        raise PluginError(f"annotation {TIMEOUT_SECONDS} is {text!r}; give a number of seconds") from None


def _label(resource: Resource, live: Properties) -> str:
    metadata = metadata_of(live)
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{resource.kind.name} {place}{metadata.get('name')}"


def _what_holds(live: Properties) -> str:
    metadata = metadata_of(live)
    if not metadata.get("deletionTimestamp"):
        return "the API server has not marked it as deleted"
    finalizers = [*(metadata.get("finalizers") or []), *((live.get("spec") or {}).get("finalizers") or [])]
    conditions = (live.get("status") or {}).get("conditions") or []
    remaining = [
        item["message"]
        for item in conditions
        if live.get("kind") == "Namespace" and item.get("status") == "True" and item.get("message")
    ]
    held = f"held by finalizers {', '.join(finalizers)}" if finalizers else "waits for its grace period"
    return "; ".join([held, *remaining])


def _tolerant(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except (ApiError, NoKindError, UnreachableError):
        return otherwise
