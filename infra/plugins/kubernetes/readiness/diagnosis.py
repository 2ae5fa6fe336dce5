"""Why a workload does not get ready: pods, containers, their last words, warning events."""

from typing import Any

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.objects import Kind
from refsys.infra.plugins.kubernetes.readiness.state import Reader, condition, reason, status_of

_PODS, _LOG_CHARACTERS, _EVENTS = 2, 1500, 5
"""How much is shown: broken pods, characters of a container's log, events of an object."""
_POD, _EVENT = Kind("", "v1", "Pod"), Kind("", "v1", "Event")


def diagnose(live: Properties, reader: Reader) -> list[str]:
    """Return lines that tell why the object is not ready."""
    lines = _events(live["kind"], live, reader)
    pods = [live] if live.get("kind") == "Pod" else _pods_of(live, reader)
    broken = [pod for pod in pods if not _healthy(pod)]
    broken.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
    for pod in broken[:_PODS]:
        lines += _pod(pod, reader)
        if pod is not live:
            lines += _events(_POD.name, pod, reader)
    if len(broken) > _PODS:
        lines.append(f"{len(broken) - _PODS} more pods are not ready")
    return lines


def _pods_of(live: Properties, reader: Reader) -> list[Properties]:
    selector = (live.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    if not labels or live.get("kind") not in ("DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"):
        return []
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    return reader.list(_POD, live["metadata"]["namespace"], labelSelector=text)


def _healthy(pod: Properties) -> bool:
    return status_of(pod).get("phase") == "Succeeded" or condition(pod, "Ready").get("status") == "True"


def _pod(pod: Properties, reader: Reader) -> list[str]:
    name, status = pod["metadata"]["name"], status_of(pod)
    lines = [f"pod {name}: {status.get('phase', 'Unknown')}" + _dash(reason(status))]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        lines.append(f"  not scheduled: {reason(scheduled)}")
    for item in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        lines += _container(pod, item, reader)
    return lines


def _container(pod: Properties, item: dict[str, Any], reader: Reader) -> list[str]:
    state, last = item.get("state") or {}, (item.get("lastState") or {}).get("terminated")
    ended = state.get("terminated")
    if item.get("ready") or (ended and ended.get("exitCode") == 0):
        return []
    lines = []
    if state.get("waiting"):
        lines.append(f"  container {item['name']} waits: {reason(state['waiting'])}")
    elif state.get("running"):
        lines.append(f"  container {item['name']} runs, but is not ready")
    for end in (ended, last):
        if end:
            lines.append(f"  container {item['name']} ended with exit code {end.get('exitCode')}" + _dash(reason(end)))
    if ended or last or state.get("running"):
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        previous = not ended and last is not None
        text = reader.log_tail(namespace, name, item["name"], previous).strip()[-_LOG_CHARACTERS:]
        lines += [f"    | {line}" for line in text.splitlines()]
    return lines


def _events(kind: str, live: Properties, reader: Reader) -> list[str]:
    metadata = live["metadata"]
    selector = f"involvedObject.uid={metadata.get('uid')},type=Warning"
    found = reader.list(_EVENT, metadata.get("namespace") or "default", fieldSelector=selector)
    found.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    lines = []
    for event in found[-_EVENTS:]:
        count = int(event.get("count") or (event.get("series") or {}).get("count") or 1)
        lines.append(
            f"event of {kind} {metadata['name']}: {reason(event)}" + (f" ({count} times)" if count > 1 else "")
        )
    return lines


def _dash(text: str) -> str:
    return f" - {text}" if text else ""
