"""Readiness of Deployments, StatefulSets, DaemonSets, Jobs and Pods."""

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.readiness.state import (
    READY,
    Reader,
    State,
    condition,
    failed,
    observed,
    reason,
    status_of,
    waiting,
)


def deployment(live: Properties, _reader: Reader) -> State:
    """Ready when every replica runs the present template and is available."""
    if not observed(live):
        return waiting("the Deployment controller has not seen the change yet")
    progressing = condition(live, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return failed(reason(progressing))
    return READY if live["spec"].get("paused") else _rolled_out(live)


def _rolled_out(live: Properties) -> State:
    refused = condition(live, "ReplicaFailure")
    status, wanted = status_of(live), int(live["spec"].get("replicas", 1))
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    old = int(status.get("replicas") or 0) - updated
    if updated < wanted:
        more = f"; {reason(refused)}" if refused.get("status") == "True" else ""
        return waiting(f"{updated} of {wanted} replicas updated{more}")
    if old > 0:
        return waiting(f"{old} old replicas still run")
    if available < wanted:
        return waiting(f"{available} of {wanted} replicas available")
    return READY


def stateful_set(live: Properties, _reader: Reader) -> State:
    """Ready when every replica is ready and, in a rolling update, runs the present revision."""
    if not observed(live):
        return waiting("the StatefulSet controller has not seen the change yet")
    spec, status = live["spec"], status_of(live)
    wanted = int(spec.get("replicas", 1))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        rolled = max(wanted - partition, 0)
        updated = int(status.get("updatedReplicas") or 0)
        current = status.get("currentRevision") == status.get("updateRevision")
        if updated < rolled or (partition == 0 and wanted > 0 and not current):
            return waiting(f"{updated} of {rolled} replicas updated")
    ready = int(status.get("readyReplicas") or 0)
    available = min(ready, int(status.get("availableReplicas", ready)))
    if available < wanted:
        return waiting(f"{available} of {wanted} replicas available")
    return READY


def daemon_set(live: Properties, _reader: Reader) -> State:
    """Ready when the pod of every matching node runs the present template and is available."""
    if not observed(live):
        return waiting("the DaemonSet controller has not seen the change yet")
    status = status_of(live)
    wanted = int(status.get("desiredNumberScheduled") or 0)
    rolling = (live["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    updated = int(status.get("updatedNumberScheduled") or 0)
    if rolling and updated < wanted:
        return waiting(f"{updated} of {wanted} nodes updated")
    available = int(status.get("numberAvailable") or 0)
    if available < wanted:
        return waiting(f"available on {available} of {wanted} nodes")
    return READY


def job(live: Properties, _reader: Reader) -> State:
    """Ready when the Job is complete."""
    if condition(live, "Complete").get("status") == "True" or live["spec"].get("suspend"):
        return READY
    broken = condition(live, "Failed")
    if broken.get("status") == "True":
        return failed(reason(broken))
    status = status_of(live)
    done, wanted = int(status.get("succeeded") or 0), int(live["spec"].get("completions") or 1)
    tries = f", {status['failed']} failed" if status.get("failed") else ""
    return waiting(f"{done} of {wanted} pods succeeded, {int(status.get('active') or 0)} active{tries}")


def pod(live: Properties, _reader: Reader) -> State:
    """Ready when the pod is, or has succeeded."""
    phase = status_of(live).get("phase")
    if phase == "Succeeded" or condition(live, "Ready").get("status") == "True":
        return READY
    if phase == "Failed":
        return failed(reason(status_of(live)) or "a container ended with an error")
    return waiting(f"the pod is {phase or 'not scheduled'}")
