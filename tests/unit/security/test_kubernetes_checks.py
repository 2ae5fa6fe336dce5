"""The benchmark's checks: what they take, what they refuse, and that all of them can be asked."""

from typing import Any

import pytest
import yaml

from refsys.infra import paths
from refsys.security.compliance import waivers
from refsys.security.compliance.kubernetes import cluster, examination, nodes, reference
from refsys.security.compliance.kubernetes.checks import Check, checks
from refsys.security.compliance.kubernetes.live import RBAC
from refsys.security.compliance.kubernetes.nodes import NodeFacts, on_nodes
from refsys.security.compliance.kubernetes.pods import FLAWS
from refsys.security.compliance.kubernetes.report import judged


def check(number: str) -> Check:
    return next(check for check in checks() if check.id == number)


def node(**fields: Any) -> NodeFacts:
    facts: dict[str, Any] = {"files": [], "processes": {"kube-apiserver": []}, "documents": {}, "encryption": []}
    return NodeFacts.model_validate(facts | fields)


def status(number: str, **fields: Any) -> str:
    return on_nodes(check(number), {"cp1": node(**fields)}).status


def api_server(*arguments: str) -> dict[str, Any]:
    return {"processes": {"kube-apiserver": list(arguments), "kubelet": []}}


def test_every_check_can_be_asked() -> None:
    numbers = [check.id for check in checks()]
    assert len(numbers) == len(set(numbers)) > 120
    for one in checks():
        assert one.cluster is None or one.cluster.name in cluster.FUNCTIONS, one.id
        assert one.node is None or one.node in nodes.FUNCTIONS, one.id
        assert not (one.cluster and one.cluster.flaw) or one.cluster.flaw in FLAWS, one.id


def test_only_what_is_checked_is_waived() -> None:
    assert set(waivers.reasons(waivers.load(), "kubernetes", [])) < {check.id for check in checks()}


def test_the_list_of_checks_is_in_step() -> None:
    written = reference.FILE.read_text()
    assert written == reference.page(), "run: python -m refsys.security.compliance.kubernetes.reference"


@pytest.mark.parametrize(
    ("mode", "owner", "wanted"),
    [("0600", "root:root", "pass"), ("0400", "root:root", "pass"), ("0640", "root:root", "fail")],
)
def test_a_file_may_not_be_more_open(mode: str, owner: str, wanted: str) -> None:
    file = {"path": "/etc/kubernetes/admin.conf", "mode": mode, "owner": owner}
    assert status("1.1.13", files=[file]) == wanted
    assert status("1.1.14", files=[file | {"owner": "1000:1000"}]) == "fail"


def test_a_file_that_is_missing_fails_unless_it_need_not_be_there() -> None:
    assert status("1.1.1") == "fail"
    assert status("4.1.3") == "not applicable"


@pytest.mark.parametrize(
    ("number", "arguments", "wanted"),
    [
        ("1.2.2", [], "pass"),
        ("1.2.2", ["--token-auth-file=/tokens"], "fail"),
        ("1.2.7", ["--authorization-mode=Node,RBAC"], "pass"),
        ("1.2.7", ["--authorization-mode=RBAC"], "fail"),
        ("1.2.6", ["--authorization-mode=AlwaysAllow"], "fail"),
        ("1.2.17", ["--audit-log-maxage=30"], "pass"),
        ("1.2.17", ["--audit-log-maxage=7"], "fail"),
        ("1.2.21", [], "pass"),
        ("1.2.29", ["--tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA"], "fail"),
        ("1.2.29", [], "fail"),
        ("1.2.24", ["--tls-cert-file=a", "--tls-private-key-file=b"], "pass"),
        ("1.2.24", ["--tls-cert-file=a"], "fail"),
    ],
)
def test_flags(number: str, arguments: list[str], wanted: str) -> None:
    assert status(number, **api_server(*arguments)) == wanted


def test_a_process_that_does_not_run_fails() -> None:
    assert status("2.2") == "fail"


def test_the_kubelets_flags_override_its_configuration() -> None:
    documents = {nodes.KUBELET: yaml.safe_dump({"authentication": {"anonymous": {"enabled": False}}})}
    assert status("4.2.1", documents=documents) == "pass"
    flags = {"kube-apiserver": [], "kubelet": ["--anonymous-auth=true"]}
    assert status("4.2.1", documents=documents, processes=flags) == "fail"


def test_one_node_that_fails_is_enough_and_is_named() -> None:
    right = {nodes.KUBELET: yaml.safe_dump({"podPidsLimit": 2048})}
    seen = on_nodes(check("4.2.13"), {"cp1": node(documents=right), "w1": node(processes={"kubelet": []})})
    assert seen.status == "fail"
    assert seen.seen == "w1: podPidsLimit: None"


def test_anonymous_requests_and_providers() -> None:
    document = {"anonymous": {"enabled": True, "conditions": [{"path": "/livez"}]}}
    documents = {nodes.AUTHENTICATION: yaml.safe_dump(document)}
    assert "/livez" in on_nodes(check("1.2.1"), {"cp1": node(documents=documents)}).seen
    assert status("1.2.1", documents={nodes.AUTHENTICATION: "anonymous: {enabled: false}"}) == "pass"
    assert status("1.2.28", encryption=["aescbc", "identity"]) == "pass"
    assert status("1.2.28", encryption=["identity", "aescbc"]) == "fail"


def test_the_audit_policy_of_the_role_is_enough() -> None:
    file = paths.CHECKOUT / "platform/roles/kubernetes_control_plane/files/audit-policy.yaml"
    assert status("3.2.2", documents={nodes.AUDIT_POLICY: file.read_text()}) == "pass"
    with_secrets = file.read_text().replace("- level: Metadata\n    resources", "- level: Request\n    resources", 1)
    assert status("3.2.2", documents={nodes.AUDIT_POLICY: with_secrets}) == "fail"


class Live:
    """A cluster that is only lists."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists

    def items(self, path: str) -> list[dict[str, Any]]:
        return self.lists.get(path.removeprefix(f"{RBAC}/"), [])


def access_to_secrets(subject: dict[str, str]) -> str:
    role = {"metadata": {"name": "reader"}, "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}]}
    reference = {"kind": "ClusterRole", "name": "reader"}
    binding = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]}
    live: Any = Live(clusterroles=[role], clusterrolebindings=[binding])
    wanted = check("5.1.2").cluster
    assert wanted
    return cluster.FUNCTIONS["granted"](live, wanted).status


def test_rights_of_others_than_the_control_plane_are_seen() -> None:
    assert access_to_secrets({"kind": "Group", "name": "system:authenticated"}) == "fail"
    assert access_to_secrets({"kind": "User", "name": "somebody"}) == "fail"
    assert access_to_secrets({"kind": "ServiceAccount", "namespace": "processing", "name": "prip"}) == "fail"
    assert access_to_secrets({"kind": "User", "name": "system:kube-controller-manager"}) == "pass"
    assert access_to_secrets({"kind": "ServiceAccount", "namespace": "kube-system", "name": "x"}) == "pass"


def test_a_waiver_changes_a_failure_and_nothing_else() -> None:
    wrong, right = judged(False, "x", "y"), judged(True, "x", "y")
    report = examination.report("e", {"1.2.11": wrong, "1.2.1": right, "1.2.2": wrong})
    assert {result.id: result.status for result in report.results} == {
        "1.2.1": "pass",
        "1.2.2": "fail",
        "1.2.11": "waived",
    }
    assert [result.id for result in report.failed] == ["1.2.2"]
    assert next(result.reason for result in report.results if result.id == "1.2.11")
