"""Nodes and workloads as the cluster tells of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refsys.infra.cli.records import plain
from refsys.infra.health.api_server import Snapshot
from refsys.infra.health.parts import Finding, Part
from refsys.infra.health.pods import UNREADY, Cause, Judge, is_ready
from refsys.platform.components.applications import PREFIX
from refsys.platform.components.names import NAMESPACES, PROCESSING, PRODUCTION

Document = Mapping[str, Any]
JOBS = tuple(PRODUCTION.values())
"""Where nothing runs for good, and jobs fail by their data: execution tells of them."""
PLATFORM = tuple(name for name in NAMESPACES if name not in {PROCESSING, *JOBS})
NAMES_SHOWN = 3
PRESSURES = {
    "MemoryPressure": "is short of memory",
    "DiskPressure": "is short of disk",
    "PIDPressure": "has too many processes",
}


@dataclass(frozen=True)
class Workload:
    """What runs pods: how many there should be, and how many are ready."""

    kind: str
    namespace: str
    name: str
    wanted: int
    ready: int
    document: Document

    @property
    def lacking(self) -> bool:
        """Whether not all that should be there is."""
        return self.ready < self.wanted or (self.wanted == 0 and self.kind != "DaemonSet")

    def owns(self, pod: Document) -> bool:
        """Whether it runs this pod."""
        wanted = self.document["spec"]["selector"].get("matchLabels") or {}
        labels = pod["metadata"].get("labels") or {}
        same = pod["metadata"]["namespace"] == self.namespace
        return same and bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def workloads(snapshot: Snapshot) -> list[Workload]:
    """Everything that runs pods for good."""
    found = []
    for kind, documents in (("Deployment", snapshot.deployments), ("StatefulSet", snapshot.stateful_sets)):
        for each in documents:
            wanted = each["spec"].get("replicas", 1)
            found.append(_workload(kind, each, wanted, each["status"].get("readyReplicas", 0)))
    for each in snapshot.daemon_sets:
        status = each["status"]
        found.append(
            _workload("DaemonSet", each, status.get("desiredNumberScheduled", 0), status.get("numberReady", 0))
        )
    return found


def nodes(environment: str, snapshot: Snapshot) -> tuple[list[Finding], set[str]]:
    """What is wrong with nodes, and which are away."""
    findings, away = [], set()
    for node in snapshot.nodes:
        name = node["metadata"]["name"]
        conditions = {each["type"]: each for each in node["status"].get("conditions", [])}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True":
            away.add(name)
            pods = sum(pod["spec"].get("nodeName") == name for pod in snapshot.pods)
            said = plain(ready.get("message", "")) or "nothing is known of it"
            findings.append(
                Finding(f"node {name} isn't ready ({said}), with {pods} pods on it", f"./refsys up {environment}")
            )
        findings += [
            Finding(f"node {name} {text}: pods may be ended", _relief(environment, kind))
            for kind, text in PRESSURES.items()
            if conditions.get(kind, {}).get("status") == "True"
        ]
        if node["spec"].get("unschedulable"):
            step = f"kubectl uncordon {name}, or ./refsys up {environment}"
            findings.append(Finding(f"node {name} takes no new pods: it is cordoned", step, serious=False))
    return findings, away


def hosting(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the namespaces of hosted applications."""
    return tuple(sorted({each.namespace for each in workloads(snapshot) if each.namespace.startswith(PREFIX)}))


def part(
    name: str,
    snapshot: Snapshot,
    judge: Judge,
    *,
    away: Collection[str],
    only: Collection[str] = (),
    but: Collection[str] = (),
) -> Part:
    """Judge the workloads of some namespaces: those of `only`, or all but those of `but`."""

    def concerns(document: Document) -> bool:
        namespace = document["metadata"]["namespace"]
        return namespace in only if only else namespace not in but

    every = [each for each in workloads(snapshot) if concerns(each.document)]
    pods = [pod for pod in snapshot.pods if concerns(pod) and not pod["metadata"].get("deletionTimestamp")]
    lacking = [each for each in every if each.lacking]
    causes = [(each.name, _cause(each, pods, judge, away)) for each in lacking]
    causes += [(pod["metadata"]["name"], judge.cause(pod)) for pod in _stray(pods, every, snapshot, away)]
    findings = [*_findings(causes), *_jobs(judge.environment, [job for job in snapshot.jobs if concerns(job)])]
    findings += _notices(every, pods, judge, lacking)
    facts = {
        "workloads": [
            {
                "kind": each.kind,
                "namespace": each.namespace,
                "name": each.name,
                "wanted": each.wanted,
                "ready": each.ready,
            }
            for each in every
        ],
        "not_ready_pods": [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods if not is_ready(pod)
        ],
    }
    seen = f"{len(every) - len(lacking)} of {len(every)} workloads complete"
    return Part(name, seen, tuple(findings), facts=facts)


def _workload(kind: str, document: Document, wanted: int, ready: int) -> Workload:
    meta = document["metadata"]
    return Workload(kind, meta["namespace"], meta["name"], wanted, ready, document)


def _cause(workload: Workload, pods: Sequence[Document], judge: Judge, away: Collection[str]) -> Cause | None:
    """Why a workload is not complete; None where the node that its pods were on tells it."""
    again = f"./refsys up {judge.environment}"
    if workload.wanted == 0:
        return Cause("is scaled to zero", f"{again} sets it back")
    unready = [pod for pod in pods if workload.owns(pod) and not is_ready(pod)]
    if unready and all(pod["spec"].get("nodeName") in away for pod in unready):
        return None
    if unready:
        # The youngest shows what is tried now.
        return judge.cause(max(unready, key=lambda pod: str(pod["metadata"].get("creationTimestamp"))))
    return Cause("has no pod: " + (_why_no_pod(workload, judge) or "none was made yet"), again)


def _why_no_pod(workload: Workload, judge: Judge) -> str:
    conditions = workload.document["status"].get("conditions") or []
    failed = [each.get("message", "") for each in conditions if each["type"] == "ReplicaFailure"]
    made = [
        event.get("message", "")
        for event in judge.events
        if event.get("reason") == "FailedCreate"
        and event["involvedObject"].get("namespace") == workload.namespace
        and str(event["involvedObject"].get("name", "")).startswith(workload.name)
    ]
    return plain(next(iter([*failed, *made[-1:]]), ""))[:400]


def _stray(
    pods: Sequence[Document], every: Sequence[Workload], snapshot: Snapshot, away: Collection[str]
) -> Iterator[Document]:
    """Pods that no workload answers for, and that are not ready: of nodes, or somebody's own."""
    for pod in pods:
        owners = {each["kind"] for each in pod["metadata"].get("ownerReferences") or []}
        if owners & {"Job", "ReplicaSet", "StatefulSet", "DaemonSet"} or pod["spec"].get("nodeName") in away:
            continue
        if not is_ready(pod) and not any(each.owns(pod) for each in every):
            yield pod


def _findings(causes: Sequence[tuple[str, Cause | None]]) -> Iterator[Finding]:
    """One finding for all that have the same cause, those that wait for others last."""
    by_text: dict[str, list[tuple[str, Cause]]] = {}
    for name, cause in causes:
        if cause:
            by_text.setdefault(cause.text, []).append((name, cause))
    for text in sorted(by_text, key=lambda text: text in {UNREADY, "starts"}):
        names = [name for name, _ in by_text[text]]
        first = by_text[text][0][1]
        detail = f" — {first.detail}" if first.detail else ""
        yield Finding(f"{listed(names)}: {text}{detail}", first.next_step)


def _jobs(environment: str, jobs: Sequence[Document]) -> Iterator[Finding]:
    """Jobs that gave up; of those for the same thing the last one counts."""
    last: dict[str, Document] = {}
    for job in sorted(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp"))):
        labels = job["spec"]["template"]["metadata"].get("labels") or {}
        last[labels.get("app.kubernetes.io/name", job["metadata"]["name"])] = job
    for name, job in last.items():
        failed = [
            each
            for each in job["status"].get("conditions") or []
            if each["type"] == "Failed" and each["status"] == "True"
        ]
        if failed:
            said = plain(failed[0].get("message", ""))
            by_clock = bool(job["metadata"].get("ownerReferences"))
            step = f"./refsys logs {environment} --service {name} --since 1d"
            yield Finding(f"job {name} gave up: {said}", step, serious=not by_clock)


def _notices(
    every: Sequence[Workload], pods: Sequence[Document], judge: Judge, lacking: Sequence[Workload]
) -> Iterator[Finding]:
    """What works, but not as it should: versions that do not come up, processes that end again and again."""
    complete = [each for each in every if each not in lacking]
    for each in complete:
        for pod in pods:
            if not each.owns(pod):
                continue
            if is_ready(pod) and (restarts := judge.restarts(pod)):
                step = f"./refsys logs {judge.environment} --service {each.name} --severity warning --since 1h"
                yield Finding(f"{each.name}: {restarts}", step, serious=False)
            elif not is_ready(pod) and pod["status"].get("phase") != "Failed":
                cause = judge.cause(pod)
                if cause.text not in {"starts", UNREADY}:
                    detail = f" — {cause.detail}" if cause.detail else ""
                    text = f"{each.name}: its new version doesn't come up: {cause.text}{detail}"
                    yield Finding(text, cause.next_step, serious=False)


def _relief(environment: str, kind: str) -> str:
    if kind == "MemoryPressure":
        return f"give it more (refsys:local in Pulumi.{environment}.yaml), then ./refsys up {environment}"
    return f"./refsys doctor {environment} collects what fills it"


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    names = list(dict.fromkeys(names))
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
