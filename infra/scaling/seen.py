"""The queue of production jobs as the cluster has it: every order is a Kubernetes Job until it has ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from refsys.infra.nodes.members import Members, is_ready
from refsys.infra.scaling.rule import Load, Queue, Seen, Urgency
from refsys.platform.components.names import POOL_LABEL, PROCESSING_POOL, PRODUCTION
from refsys.services.execution.manifests import JOB_LABEL, LOWEST_CLASS, PRIORITY_CLASSES

URGENCIES = {
    **dict(zip((name for _, name in PRIORITY_CLASSES), (Urgency.URGENT, Urgency.STANDARD), strict=True)),
    LOWEST_CLASS: Urgency.LOW,
}
MIB = 2**20

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Pool:
    """The queue, and the nodes that it is for."""

    seen: Seen
    jobs: Mapping[str, int]
    """How many jobs are on each node."""
    too_big: tuple[str, ...]
    """Jobs that ask for more than a whole node has; they are not reckoned with."""


def look(members: Members) -> Pool:
    """Ask the cluster.

    Raises:
        UserError: it doesn't answer.
    """
    jobs = members.items(f"/apis/batch/v1/jobs?labelSelector={JOB_LABEL.replace('/', '%2F')}")
    return pool_of(jobs, members.items("/api/v1/pods"), list(members.nodes().values()))


def pool_of(jobs: Sequence[Document], pods: Sequence[Document], nodes: Sequence[Document]) -> Pool:
    """What the cluster's Jobs, pods and nodes say of the queue."""
    own = [each for each in nodes if (each["metadata"].get("labels") or {}).get(POOL_LABEL) == PROCESSING_POOL]
    alive = [
        pod for pod in pods if pod["spec"].get("nodeName") and pod["status"].get("phase") in {"Pending", "Running"}
    ]
    of_jobs = [pod for pod in alive if JOB_LABEL in (pod["metadata"].get("labels") or {})]
    node = _capacity(own, [pod for pod in alive if pod not in of_jobs])
    placed = {_key(pod) for pod in of_jobs}
    queues: dict[str, Queue] = {}
    too_big = []
    for job in filter(_is_open, jobs):
        load = request(job["spec"]["template"]["spec"])
        if node and (load.cpus > node.cpus or load.memory_mib > node.memory_mib):
            too_big.append(f"{job['metadata']['namespace']}/{job['metadata']['name']}")
            continue
        mission = _mission(job)
        before = queues.get(mission, Queue())
        if _key(job) in placed:
            queues[mission] = Queue(before.running + load, before.waiting)
        else:
            urgency = URGENCIES.get(job["spec"]["template"]["spec"].get("priorityClassName"), Urgency.LOW)
            waiting = {**before.waiting, urgency: before.waiting.get(urgency, Load()) + load}
            queues[mission] = Queue(before.running, waiting)
    counts = {each["metadata"]["name"]: 0 for each in own}
    for pod in of_jobs:
        if pod["spec"]["nodeName"] in counts:
            counts[pod["spec"]["nodeName"]] += 1
    return Pool(Seen(queues, node), counts, tuple(too_big))


def request(pod: Document) -> Load:
    """What a pod asks for: its containers, and those that run beside them from before they start."""
    beside = [each for each in pod.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    asked = [(each.get("resources") or {}).get("requests") or {} for each in (*pod["containers"], *beside)]
    cpus = sum(float(parse_quantity(each.get("cpu", 0))) for each in asked)
    return Load(1, cpus, sum(float(parse_quantity(each.get("memory", 0))) for each in asked) / MIB)


def _capacity(nodes: Sequence[Document], others: Sequence[Document]) -> Load | None:
    """What the smallest node of the pool has beside the pods that come with every node."""
    rooms = []
    for node in nodes:
        if not is_ready(node):
            continue
        allocatable = node["status"]["allocatable"]
        taken = [request(pod["spec"]) for pod in others if pod["spec"]["nodeName"] == node["metadata"]["name"]]
        cpus = float(parse_quantity(allocatable["cpu"])) - sum(each.cpus for each in taken)
        memory = float(parse_quantity(allocatable["memory"])) / MIB - sum(each.memory_mib for each in taken)
        rooms.append(Load(0, cpus, memory))
    return min(rooms, key=lambda room: (room.cpus, room.memory_mib), default=None)


def _is_open(job: Document) -> bool:
    """Whether a job has not ended, and nobody holds it."""
    conditions = job.get("status", {}).get("conditions") or []
    over = any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)
    return not over and not job["spec"].get("suspend") and not job["metadata"].get("deletionTimestamp")


def _mission(job: Document) -> str:
    namespace = job["metadata"]["namespace"]
    return next((mission for mission, name in PRODUCTION.items() if name == namespace), namespace)


def _key(thing: Document) -> tuple[str, str]:
    """By which a pod belongs to the Job of its attempt."""
    metadata = thing["metadata"]
    owners = [each["name"] for each in metadata.get("ownerReferences") or () if each["kind"] == "Job"]
    return metadata["namespace"], owners[0] if owners else metadata["name"]
