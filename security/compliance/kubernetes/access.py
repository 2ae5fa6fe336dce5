"""Who may do what, by the bindings of the cluster."""

from collections.abc import Iterator
from dataclasses import dataclass

from refsys.platform.components.names import SYSTEM
from refsys.security.compliance.kubernetes.checks import ClusterCheck
from refsys.security.compliance.kubernetes.live import RBAC, Cluster, Json
from refsys.security.compliance.kubernetes.report import Seen, judged

ADMINISTRATORS = ("Group system:masters", "Group kubeadm:cluster-admins")
EVERYBODY = ("system:anonymous", "system:authenticated", "system:unauthenticated", "system:serviceaccounts")
BUILT_IN = "kubernetes.io/bootstrapping"


@dataclass(frozen=True)
class Grant:
    """A role that a subject has."""

    subject: str
    role: str
    binding: str
    rules: list[Json]


def grants(cluster: Cluster) -> Iterator[Grant]:
    """Return what every subject of every binding has."""
    roles = {("ClusterRole", "", role["metadata"]["name"]): role for role in cluster.items(f"{RBAC}/clusterroles")}
    for role in cluster.items(f"{RBAC}/roles"):
        roles["Role", role["metadata"]["namespace"], role["metadata"]["name"]] = role
    for binding in [*cluster.items(f"{RBAC}/clusterrolebindings"), *cluster.items(f"{RBAC}/rolebindings")]:
        reference = binding["roleRef"]
        namespace = binding["metadata"].get("namespace", "") if reference["kind"] == "Role" else ""
        rules = roles.get((reference["kind"], namespace, reference["name"]), {}).get("rules") or []
        for subject in binding.get("subjects") or []:
            place = f"{subject['namespace']}/" if subject.get("namespace") else ""
            who = f"{subject['kind']} {place}{subject['name']}"
            yield Grant(who, reference["name"], binding["metadata"]["name"], rules)


def administrators(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge who is bound to cluster-admin."""
    found = sorted({grant.subject for grant in grants(cluster) if grant.role == "cluster-admin"})
    return judged(set(found) <= set(ADMINISTRATORS), ", ".join(found), f"none but {', '.join(ADMINISTRATORS)}")


def masters(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which bindings name the group that no rule can hold back."""
    found = sorted({grant.binding for grant in grants(cluster) if grant.subject == "Group system:masters"})
    return judged(set(found) <= {"cluster-admin"}, ", ".join(found) or "none", "none but Kubernetes' own cluster-admin")


def granted(cluster: Cluster, check: ClusterCheck) -> Seen:
    """Judge who has a right, beside the control plane itself."""
    allowed = {*ADMINISTRATORS, *check.allowed}
    found = {
        f"{grant.subject} by {grant.role}"
        for grant in grants(cluster)
        if grant.subject not in allowed
        and not _is_of_the_control_plane(grant.subject)
        and any(_grants(rule, check) for rule in grant.rules)
    }
    what = f"{'/'.join(check.verbs)} {check.resource}"
    expected = f"{what}: nobody but the control plane" + "".join(f", {name}" for name in check.allowed)
    return judged(not found, ", ".join(sorted(found)) or "nobody else", expected)


def _is_of_the_control_plane(subject: str) -> bool:
    kind, name = subject.split(" ", 1)
    if kind == "ServiceAccount":
        return name.startswith(f"{SYSTEM}/")
    return name.startswith("system:") and not name.startswith(EVERYBODY)


def _grants(rule: Json, check: ClusterCheck) -> bool:
    if not {"*", *check.verbs} & set(rule["verbs"]):
        return False
    if check.resource == "*":
        # Verbs that only one kind of object knows, and `*`, which holds them all.
        return True
    return bool({"*", check.group} & set(rule.get("apiGroups") or [])) and bool(
        {"*", check.resource} & set(rule.get("resources") or [])
    )


def wildcards(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which roles, beside Kubernetes' own, grant everything of something."""
    roles = [*cluster.items(f"{RBAC}/clusterroles"), *cluster.items(f"{RBAC}/roles")]
    found = [
        role["metadata"]["name"]
        for role in roles
        if BUILT_IN not in role["metadata"].get("labels", {})
        and any(
            "*" in (rule.get(part) or [])
            for rule in role["rules"] or []
            for part in ("verbs", "apiGroups", "resources")
        )
    ]
    return judged(not found, ", ".join(sorted(found)) or "none", "no role beside Kubernetes' own has *")


def default_accounts(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge the service accounts that pods have when they name none."""
    accounts = [item for item in cluster.items("/api/v1/serviceaccounts") if item["metadata"]["name"] == "default"]
    open_ = [f"{item['metadata']['namespace']} gives tokens" for item in accounts if _automounts(item)]
    pods = cluster.items("/api/v1/pods")
    used = [f"{pod['metadata']['name']} uses it" for pod in pods if pod["spec"].get("serviceAccountName") == "default"]
    return judged(not open_ and not used, ", ".join(open_ + used) or "none", "none gives tokens, no pod uses one")


def _automounts(account: Json) -> bool:
    return account.get("automountServiceAccountToken") is not False


def lasting_tokens(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge the tokens in Secrets, which never end."""
    found = cluster.items("/api/v1/secrets?fieldSelector=type%3Dkubernetes.io/service-account-token")
    return judged(not found, ", ".join(item["metadata"]["name"] for item in found) or "none", "none")
