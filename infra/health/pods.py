"""Why a pod isn't ready, and what to do about it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refsys.infra.cli.records import last_words, plain
from refsys.platform.components.names import OPENBAO, PROCESSING

Document = Mapping[str, Any]
Log = Callable[[str, str, str, bool], str]
"""The end of a log: of namespace, pod, container, and whether of the container before this one."""

STARTING = frozenset({"ContainerCreating", "PodInitializing"})
IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
UNREADY = "runs, but isn't ready"


@dataclass(frozen=True)
class Cause:
    """Why a pod isn't ready; pods with the same `text` are told of together."""

    text: str
    next_step: str
    detail: str = ""
    """What the pod itself last said."""


@dataclass(frozen=True)
class Judge:
    """Looks at pods of one environment."""

    environment: str
    kubeconfig: str
    events: Sequence[Document]
    log: Log
    now: datetime

    def cause(self, pod: Document) -> Cause:
        """Why this pod isn't ready."""
        if (pod.get("status") or {}).get("reason") == "Evicted":
            return Cause(f"was evicted: {plain(pod['status'].get('message', ''))}", self._describe(pod))
        if not pod["spec"].get("nodeName"):
            return self._unscheduled(pod)
        statuses = _containers(pod)
        for status in statuses:
            if cause := self._of_container(pod, status):
                return cause
        unready = next((status for status in statuses if not status.get("ready")), None)
        if unready is None or "running" not in (unready.get("state") or {}):
            return self._starting(pod)
        return self._not_ready(pod, unready)

    def restarts(self, pod: Document) -> str:
        """Tell of containers of a ready pod that lately ended by themselves; "" where none did."""
        begun = _time(pod["status"].get("startTime"))
        for status in _containers(pod):
            ended = (status.get("lastState") or {}).get("terminated") or {}
            when = _time(ended.get("finishedAt"))
            if not (begun and when) or status["restartCount"] < RESTARTS or status.get("started") is False:
                continue
            # While an environment comes up, processes end that lack what they need.
            settled = (when - begun).total_seconds() > SETTLING_SECONDS
            if settled and (self.now - when).total_seconds() < LATELY_SECONDS:
                return f"restarted {status['restartCount']} times, last at {when:%H:%M} UTC: {_ended(ended)}"
        return ""

    def _of_container(self, pod: Document, status: Document) -> Cause | None:
        state = status.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        reason = (waiting or {}).get("reason", "")
        if reason in IMAGE:
            said = plain((waiting or {}).get("message", ""))
            return Cause(
                f"its image can't be pulled ({reason})",
                f"./refsys up {self.environment} brings images and registry back",
                said,
            )
        if reason in CONFIG:
            said = plain((waiting or {}).get("message", ""))
            return Cause(f"its container can't be made: {said or reason}", f"./refsys up {self.environment}")
        if reason == "CrashLoopBackOff":
            return self._crash(pod, status, (status.get("lastState") or {}).get("terminated") or {}, previous=True)
        if ended and ended.get("reason") != "Completed":
            return self._crash(pod, status, ended, previous=False)
        if waiting and reason not in STARTING and reason:
            return Cause(f"waits: {reason} {plain(waiting.get('message', ''))}".strip(), self._describe(pod))
        return None

    def _crash(self, pod: Document, status: Document, ended: Document, *, previous: bool) -> Cause:
        times = f"in a crash loop, {status['restartCount']} restarts" if status["restartCount"] else "ended"
        if ended.get("reason") == "OOMKilled":
            limit = _limit(pod, status["name"])
            return Cause(
                f"{times}: it took more memory than its limit of {limit}",
                f"see what it did: {self._logs(pod, status['name'])}; else raise its limit where it is declared",
            )
        said = last_words(self.log(*_name(pod), status["name"], previous))
        return Cause(f"{times}: {_ended(ended)}", self._logs(pod, status["name"], previous=previous), " / ".join(said))

    def _unscheduled(self, pod: Document) -> Cause:
        condition = _condition(pod, "PodScheduled")
        message = plain(condition.get("message", "")) or "no node was chosen yet"
        short = re.sub(r" ?preemption: .*$", "", message).removesuffix(".")
        if lacking := sorted(set(re.findall(r"Insufficient (\w+)", message))):
            field = {"memory": "memory_mib", "cpu": "cpus"}
            fields = " and ".join(field.get(each, each) for each in lacking)
            return Cause(
                f"pending: no node has the {' and '.join(lacking)} that it asks for ({short})",
                f"give nodes more ({fields} of refsys:local.worker in Pulumi.{self.environment}.yaml) or more nodes, "
                f"then ./refsys up {self.environment}",
            )
        return Cause(f"pending: {short}", self._describe(pod))

    def _starting(self, pod: Document) -> Cause:
        lacking = self._events(pod, "FailedMount", "FailedCreatePodSandBox", "FailedAttachVolume")
        if lacking:
            return Cause(f"can't start: {lacking}", self._describe(pod))
        begun = _time(pod["metadata"].get("creationTimestamp"))
        seconds = (self.now - begun).total_seconds() if begun else 0
        return Cause("starts", f"wait; when it takes longer: {self._describe(pod)}", f"since {seconds:.0f} s")

    def _not_ready(self, pod: Document, status: Document) -> Cause:
        namespace, name = _name(pod)
        probe = self._events(pod, "Unhealthy")
        if namespace == OPENBAO.namespace and name.startswith(f"{OPENBAO.name}-") and "503" in probe:
            return Cause(
                "is sealed: nobody gets secrets",
                f"kubectl --kubeconfig {self.kubeconfig} -n {namespace} delete pod {name} unseals it "
                "(docs/security/secrets.md)",
            )
        said = last_words(self.log(namespace, name, status["name"], False), 1)
        return Cause(UNREADY, self._logs(pod, status["name"]), " / ".join([*filter(None, [probe]), *said]))

    def _events(self, pod: Document, *reasons: str) -> str:
        """The last event of one of the reasons that the pod had."""
        namespace, name = _name(pod)
        found: list[Document] = [
            event
            for event in self.events
            if event["involvedObject"].get("name") == name
            and event["involvedObject"].get("namespace") == namespace
            and event.get("reason") in reasons
        ]
        found.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return plain(found[-1].get("message", ""))[:300] if found else ""

    def _logs(self, pod: Document, container: str, *, previous: bool = False) -> str:
        namespace, name = _name(pod)
        if namespace == PROCESSING:
            return f"./refsys logs {self.environment} --service {container} --since 30m"
        more = " --previous" if previous else ""
        return f"kubectl --kubeconfig {self.kubeconfig} -n {namespace} logs {name} -c {container}{more}"

    def _describe(self, pod: Document) -> str:
        namespace, name = _name(pod)
        return f"kubectl --kubeconfig {self.kubeconfig} -n {namespace} describe pod {name}"


RESTARTS = 3
SETTLING_SECONDS = 600
LATELY_SECONDS = 1800


def is_ready(pod: Document) -> bool:
    """Whether a pod serves, or has done what it was for."""
    if pod["status"].get("phase") == "Succeeded":
        return True
    return _condition(pod, "Ready").get("status") == "True"


def _containers(pod: Document) -> list[Document]:
    """The states of a pod's containers, those that start first before the others."""
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _condition(pod: Document, kind: str) -> Document:
    return next((each for each in pod["status"].get("conditions") or [] if each["type"] == kind), {})


def _ended(ended: Document) -> str:
    code = ended.get("exitCode")
    reason = ended.get("reason", "")
    if reason == "OOMKilled":
        return "it took more memory than its limit"
    return f"it ended with {code}" + (f" ({reason})" if reason and reason != "Error" else "")


def _limit(pod: Document, container: str) -> str:
    every = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    found: Document = next((each for each in every if each["name"] == container), {})
    return str(((found.get("resources") or {}).get("limits") or {}).get("memory", "its node"))


def _name(pod: Document) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
