"""Readiness of namespaces, custom resource definitions and volume claims."""

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.objects import Kind
from refsys.infra.plugins.kubernetes.readiness.state import (
    READY,
    Reader,
    State,
    condition,
    failed,
    reason,
    status_of,
    waiting,
)

_STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass")


def namespace(live: Properties, _reader: Reader) -> State:
    """Ready when objects can be made in it."""
    phase = status_of(live).get("phase")
    return READY if phase == "Active" else waiting(f"the namespace is {phase or 'not active'}")


def custom_resource_definition(live: Properties, _reader: Reader) -> State:
    """Ready when the API server serves it."""
    names = condition(live, "NamesAccepted")
    if names.get("status") == "False":
        return failed(f"its names are not accepted: {reason(names)}")
    established = condition(live, "Established")
    if established.get("status") == "True":
        return READY
    return waiting(f"not established: {reason(established) or 'the API server has not seen it yet'}")


def persistent_volume_claim(live: Properties, reader: Reader) -> State:
    """Ready when bound, or when its storage class binds only with the first pod that uses it."""
    phase = status_of(live).get("phase")
    if phase == "Bound":
        return READY
    if phase == "Lost":
        return failed(f"its volume {live['spec'].get('volumeName')} does not exist any more")
    name = live["spec"].get("storageClassName")
    storage_class = reader.get(_STORAGE_CLASS, None, name) if name else None
    if storage_class and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
        return READY
    if name and storage_class is None:
        return waiting(f"not bound: there is no StorageClass {name}")
    return waiting(
        f"not bound ({'storage class ' + name if name else 'no storage class, waits for a matching volume'})"
    )
