"""Examine the cluster of an environment: ask its nodes and its API server, judge, count the waivers."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kubernetes import client, config

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.playbook import PlaybookError, PlaybookRun
from refsys.security.compliance import waivers
from refsys.security.compliance.kubernetes import cluster
from refsys.security.compliance.kubernetes.checks import Check, checks, patterns
from refsys.security.compliance.kubernetes.live import Cluster
from refsys.security.compliance.kubernetes.nodes import NodeFacts, on_nodes
from refsys.security.compliance.kubernetes.report import KubernetesReport, Result, Seen


def examine(environment: str) -> KubernetesReport:
    """Return the report on an environment that is up.

    Raises:
        UserError: the environment, a node or the API server is not there.
    """
    inventory, kubeconfig = (paths.file_of_running(environment, name) for name in ("inventory.yml", "kubeconfig"))
    nodes = facts(environment, inventory)
    try:
        live = Cluster(config.new_client_from_config(str(kubeconfig)))
        seen = {check.id: _seen(check, nodes, live) for check in checks()}
    except client.ApiException as error:
        raise UserError(
            f"the API server of {environment} answers {error.status} {error.reason}",
            fix=f"see what is wrong with it (./refsys status {environment}), then run this again",
        ) from error
    return report(environment, seen)


def facts(environment: str, inventory: Path) -> dict[str, NodeFacts]:
    """Look at the nodes, by Ansible."""
    run = PlaybookRun(environment, json.loads(inventory.read_text()), {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "facts.json"
        try:
            run("kubernetes-facts", {"kubernetes_facts_file": str(file), "kubernetes_facts_patterns": patterns()})
        except PlaybookError as error:
            raise UserError(str(error), fix=f"./refsys up {environment}, then run this again") from error
        return {name: NodeFacts.model_validate(node) for name, node in json.loads(file.read_text()).items()}


def _seen(check: Check, nodes: Mapping[str, NodeFacts], live: Cluster) -> Seen:
    return cluster.FUNCTIONS[check.cluster.name](live, check.cluster) if check.cluster else on_nodes(check, nodes)


def report(environment: str, seen: Mapping[str, Seen]) -> KubernetesReport:
    """Return what was seen as results, with the waivers."""
    reasons = waivers.reasons(waivers.load(), "kubernetes", [])
    return KubernetesReport(
        environment=environment,
        results=[_result(check, seen[check.id], reasons.get(check.id)) for check in checks() if check.id in seen],
    )


def _result(check: Check, seen: Seen, reason: str | None) -> Result:
    waived = seen.status == "fail" and reason is not None
    return Result(
        id=check.id,
        title=check.title,
        level=check.level,
        status="waived" if waived else seen.status,
        seen=seen.seen,
        expected=seen.expected,
        remediation=check.remedy,
        reason=reason if waived else None,
    )
