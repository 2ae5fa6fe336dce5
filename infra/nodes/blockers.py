"""Why a node can't be emptied or given up: which pods stay, which volumes it holds, and what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
HOSTNAME = "kubernetes.io/hostname"
MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True)
class Blocker:
    """A pod that is still on the node."""

    pod: str
    """Namespace and name."""
    why: str
    fix: str


def leaving(pods: Sequence[Document]) -> list[Document]:
    """Those of a node's pods that leave it when it is drained: not those of every node, and none that are over."""
    return [
        pod
        for pod in pods
        if _controller(pod) != "DaemonSet"
        and MIRROR not in (pod["metadata"].get("annotations") or {})
        and pod["status"].get("phase") not in {"Succeeded", "Failed"}
    ]


def blockers(environment: str, pods: Sequence[Document], budgets: Sequence[Document]) -> list[Blocker]:
    """What keeps each of these pods on its node; `budgets` are the cluster's disruption budgets."""
    return [_blocker(environment, pod, budgets) for pod in leaving(pods)]


def claims_on(node: str, volumes: Sequence[Document]) -> list[str]:
    """Claims, as `namespace/name`, of the bound volumes that lie on this node and nowhere else."""
    found = []
    for volume in volumes:
        claim = volume["spec"].get("claimRef")
        if claim and volume["status"].get("phase") == "Bound" and list(_hosts(volume)) == [node]:
            found.append(f"{claim['namespace']}/{claim['name']}")
    return sorted(found)


def _blocker(environment: str, pod: Document, budgets: Sequence[Document]) -> Blocker:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    of_pod = f"-n {namespace} {{}} pod {name}"
    if since := pod["metadata"].get("deletionTimestamp"):
        told = f"kubectl {of_pod.format('describe')} says what it waits for"
        return Blocker(f"{namespace}/{name}", f"is ending, and had to be gone by {since}", told)
    for budget in budgets:
        if budget["metadata"]["namespace"] != namespace or not _selects(budget, pod):
            continue
        status = budget.get("status") or {}
        if status.get("disruptionsAllowed", 0) == 0:
            return Blocker(f"{namespace}/{name}", *_of_budget(environment, budget))
    if _controller(pod) is None:
        told = f"end it, if nobody needs it: kubectl {of_pod.format('delete')}"
        return Blocker(f"{namespace}/{name}", "belongs to nothing that would start it elsewhere", told)
    return Blocker(f"{namespace}/{name}", "has not ended yet", "run the same command again")


def _of_budget(environment: str, budget: Document) -> tuple[str, str]:
    name, namespace = budget["metadata"]["name"], budget["metadata"]["namespace"]
    status = budget.get("status") or {}
    expected, desired = status.get("expectedPods", 0), status.get("desiredHealthy", 0)
    if desired >= expected:
        why = f"its disruption budget {name} never lets one of its {expected} pods end"
        return why, f"run more of them, or let the budget allow one: kubectl -n {namespace} edit pdb {name}"
    why = f"its disruption budget {name} wants {desired} healthy pods, and {status.get('currentHealthy', 0)} are"
    return why, f"./refsys status {environment} says what is wrong with the others"


def _controller(pod: Document) -> str | None:
    """Kind of what would make such a pod again."""
    owners = pod["metadata"].get("ownerReferences") or []
    return next((str(owner["kind"]) for owner in owners if owner.get("controller")), None)


def _selects(budget: Document, pod: Document) -> bool:
    selector = budget["spec"].get("selector")
    if selector is None:
        return False
    labels = pod["metadata"].get("labels") or {}
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_matches(each, labels) for each in selector.get("matchExpressions") or ())


def _matches(expression: Document, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _hosts(volume: Document) -> Iterator[str]:
    required = ((volume["spec"].get("nodeAffinity") or {}).get("required")) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for expression in term.get("matchExpressions") or ():
            if expression["key"] == HOSTNAME and expression["operator"] == "In":
                yield from expression["values"]
