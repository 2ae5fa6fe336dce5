"""Why a Job of the cluster has ended without a result, and whether another attempt may end better."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from refsys.services.execution.manifests import PROCESSOR
from refsys.services.execution.tables import Phase
from refsys.services.production.states import Outcome

Json = dict[str, Any]

_LOST = {
    "DeletionByTaintManager": "its node was lost",
    "DeletionByPodGC": "its node was lost",
    "EvictionByEvictionAPI": "its node was emptied",
    "TerminationByKubelet": "its node ran short of memory or disk, or went down",
}
_PREEMPTED = "PreemptionByScheduler"
_OF_THE_NODE = ("NodeLost", "NodeShutdown", "Terminated", "UnexpectedAdmissionError", "NodeAffinity")
_OVER_LIMIT = ("emptydir", "ephemeral local storage", "exceeds the limit", "exceeded its local")
_CANT_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")


@dataclass(frozen=True)
class Verdict:
    """How an attempt ended. `again`: it was not the job's fault; `counts`: towards the limit of attempts."""

    reason: str
    again: bool = False
    counts: bool = True
    outcome: Outcome = Outcome.NOK


def has_ended(job: Json) -> bool:
    """Whether the cluster does nothing more for a Job."""
    return bool({"Complete", "Failed", "FailureTarget"} & _true(job))


def is_over(job: Json) -> bool:
    """Whether all its pods have ended, too."""
    return bool({"Complete", "Failed"} & _true(job))


def _true(thing: Json) -> set[str]:
    conditions = thing.get("status", {}).get("conditions") or ()
    return {each["type"] for each in conditions if each["status"] == "True"}


def _newest(pods: Sequence[Json]) -> Json:
    """The pod that counts: one of a job that was suspended may be ending still."""
    return max(pods, key=lambda each: each["metadata"].get("creationTimestamp", ""))


def verdict(pods: Sequence[Json]) -> Verdict:
    """Return why an attempt ended without a result, by its pods."""
    if not pods:
        return Verdict("its pod was lost", again=True)
    pod = _newest(pods)
    status = pod.get("status", {})
    found = _disrupted(status) or _by_reason(status)
    if found is None and pod["metadata"].get("deletionTimestamp"):
        found = Verdict("its pod was deleted", again=True)
    return found or _by_containers(status)


def _disrupted(status: Json) -> Verdict | None:
    """Whether the cluster ended the pod for its own reasons."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            if condition.get("reason") == _PREEMPTED:
                return Verdict("it made room for a more urgent job", again=True, counts=False)
            why = _LOST.get(condition.get("reason", ""), condition.get("message", ""))
            return Verdict(why or "its pod was ended by the cluster", again=True)
    return None


def _by_reason(status: Json) -> Verdict | None:
    """Whether the node ended the pod, or did not take it."""
    reason, message = status.get("reason", ""), status.get("message", "")
    if reason == "DeadlineExceeded":
        return Verdict(f"transfers and tasks took too long: {message}".rstrip(": "), outcome=Outcome.TIMEOUT)
    if reason == "Evicted":
        if any(words in message.lower() for words in _OVER_LIMIT):
            return Verdict(f"it wrote more than its work folder may hold: {message}")
        return Verdict(f"its node put it out: {message}", again=True)
    if reason in _OF_THE_NODE or reason.startswith("OutOf"):
        return Verdict(f"its node did not take it: {reason} {message}".strip(), again=True)
    return None


def _by_containers(status: Json) -> Verdict:
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode") and container["name"] != PROCESSOR:
            why = ended.get("reason", "Error")
            return Verdict(f"its {container['name']} failed: {why}, exit code {ended['exitCode']}", again=True)
    return Verdict("its pod ended without a result", again=True)


def killed(pods: Iterable[Json], memory_mib: int) -> str | None:
    """Return why the processor's container was ended from outside, if the cluster knows."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            ended = container.get("state", {}).get("terminated") or {}
            if container["name"] == PROCESSOR and ended.get("reason") == "OOMKilled":
                return f"the processor took more memory than its limit of {memory_mib} MiB"
    return None


def runner_ended(pods: Iterable[Json]) -> bool:
    """Whether a runner is done: its result is there before the cluster says that the Job is over."""
    return any(
        container["name"] != PROCESSOR and "terminated" in container.get("state", {})
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        for container in pod.get("status", {}).get("containerStatuses") or ()
    )


def phase(job: Json, pods: Sequence[Json]) -> tuple[Phase, str, str]:
    """Return where a Job that has not ended is, why, and on which node."""
    if job["spec"].get("suspend"):
        return Phase.SUSPENDED, "held by an operator", ""
    if not pods:
        return Phase.QUEUED, "waits until the mission's quota has room", ""
    pod = _newest(pods)
    node, status = pod.get("spec", {}).get("nodeName", ""), pod.get("status", {})
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _CANT_PULL:
            said = f"{waiting['reason']}: {waiting.get('message', '')}"
            return Phase.QUEUED, f"container {container['name']} can't start: {said}"[:1000], node
    if status.get("phase") == "Running":
        return Phase.RUNNING, "", node
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Phase.QUEUED, f"waits for a node: {condition.get('message', '')}"[:1000], ""
    return Phase.QUEUED, "its containers are being started" if node else "waits for a node", node
