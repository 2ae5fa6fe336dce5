"""What a cluster promises after playbooks/cluster.yml."""

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from testinfra.host import Host

KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
PROBE = (
    "perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(PeerAddr=>$ARGV[0],PeerPort=>$ARGV[1],Timeout=>4) ? 1 : 0'"
)
SECURITY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
SERVE = "my $s=IO::Socket::INET->new(Listen=>5,LocalPort=>8080,ReuseAddr=>1) or die; while(my $c=$s->accept){close $c}"
PODS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "probe"}},
    {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "probe", "namespace": "probe"},
        "spec": {
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {
                "metadata": {"labels": {"app": "probe"}},
                "spec": {
                    "tolerations": [{"operator": "Exists"}],
                    "securityContext": SECURITY,
                    "containers": [
                        {
                            "name": "probe",
                            "image": "registry.molecule.test:5000/refsys/kube-proxy:v1.35.4",
                            "command": ["perl", "-MIO::Socket::INET", "-e", SERVE],
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "probe", "namespace": "probe"},
        "spec": {"selector": {"app": "probe"}, "ports": [{"port": 80, "targetPort": 8080}]},
    },
]
DENY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "probe"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


@pytest.fixture
def control_plane(host: Host) -> Host:
    if host.check_output("hostname") != "cp1":
        pytest.skip("asked of the control plane")
    return host


def apply(host: Host, *documents: dict[str, Any]) -> None:
    text = "\n---\n".join(json.dumps(document) for document in documents)
    host.run_expect([0], f"{KUBECTL} apply -f - <<'EOF'\n{text}\nEOF")


def reaches(host: Host, pod: str, address: str, port: int) -> bool:
    return host.check_output(f"{KUBECTL} -n probe exec {pod} -- {PROBE} {address} {port}") == "1"


def test_nodes_are_ready(control_plane: Host) -> None:
    control_plane.run_expect([0], f"{KUBECTL} wait node --all --for=condition=Ready --timeout=30s")


def test_the_systems_pods_are_ready(control_plane: Host) -> None:
    control_plane.run_expect([0], f"{KUBECTL} -n kube-system wait pod --all --for=condition=Ready --timeout=120s")


def test_pods_reach_each_other_over_nodes_until_a_policy_denies_it(control_plane: Host) -> None:
    try:
        apply(control_plane, *PODS)
        control_plane.run_expect([0], f"{KUBECTL} -n probe rollout status ds/probe --timeout=90s")
        pods = json.loads(control_plane.check_output(f"{KUBECTL} -n probe get pods -o json"))["items"]
        names, addresses = [pod["metadata"]["name"] for pod in pods], [pod["status"]["podIP"] for pod in pods]
        assert len(pods) == 2
        assert all(reaches(control_plane, name, address, 8080) for name in names for address in addresses)
        assert all(reaches(control_plane, name, "probe.probe.svc.cluster.local", 80) for name in names)
        apply(control_plane, DENY)
        control_plane.check_output("sleep 2")
        assert not reaches(control_plane, names[0], addresses[1], 8080)
    finally:
        control_plane.run(f"{KUBECTL} delete namespace probe --timeout=60s")


def test_pods_without_restrictions_are_refused(control_plane: Host) -> None:
    refused = control_plane.run(f"{KUBECTL} run refused --image=example")
    assert refused.rc != 0
    assert "violates PodSecurity" in refused.stderr


def test_secrets_are_encrypted_and_not_audited(control_plane: Host) -> None:
    control_plane.run_expect([0], f"{KUBECTL} create secret generic probe --from-literal=key=in-plain-sight")
    try:
        assert control_plane.run("grep -rqa in-plain-sight /var/lib/etcd/member").rc == 1
        assert control_plane.run("grep -rqa k8s:enc:aescbc /var/lib/etcd/member").rc == 0
        audit = "/var/log/kubernetes/audit/audit.log"
        assert control_plane.run(f"grep -q in-plain-sight {audit}").rc == 1
        assert control_plane.run(f'grep -q \'"resource":"secrets"\' {audit}').rc == 0
    finally:
        control_plane.run(f"{KUBECTL} delete secret probe")


def test_the_kubeconfig_on_the_controller_holds_the_whole_chain(control_plane: Host) -> None:
    variables = control_plane.ansible.get_variables()
    kubeconfig = yaml.safe_load(Path(variables["kubernetes_control_plane_kubeconfig"]).read_text())
    cluster = kubeconfig["clusters"][0]["cluster"]
    trusted = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=trusted)
    assert httpx.get(f"{cluster['server']}/readyz", verify=context, timeout=10).status_code == httpx.codes.OK
