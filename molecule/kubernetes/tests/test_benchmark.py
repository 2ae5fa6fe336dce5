"""The benchmark's checks of nodes (CIS, sections 1 to 4) hold after playbooks/cluster.yml, without any policy above."""

import json
import shlex

from testinfra.host import Host

from refsys.infra import paths
from refsys.security.compliance.kubernetes import examination
from refsys.security.compliance.kubernetes.checks import checks, patterns
from refsys.security.compliance.kubernetes.nodes import NodeFacts, on_nodes

COLLECTOR = paths.CHECKOUT / "security/compliance/kubernetes/collect.py"


def test_files_flags_and_configuration_are_as_the_benchmark_wants(host: Host) -> None:
    words = ["python3", "-c", COLLECTOR.read_text(), *patterns()]
    name = host.check_output("hostname")
    node = NodeFacts.model_validate(json.loads(host.check_output(shlex.join(words))))
    concerned = [check for check in checks() if not check.cluster and (check.where == "all" or name == "cp1")]
    seen = {check.id: on_nodes(check, {name: node}) for check in concerned}
    report = examination.report("molecule", seen)
    assert [(result.id, result.seen) for result in report.failed] == []
    assert len(report.results) > (80 if name == "cp1" else 20)


def test_the_kubelet_serves_with_a_certificate_of_the_clusters_authority(host: Host) -> None:
    address = host.check_output("hostname -I | cut -d' ' -f1")
    # The cluster's authority is one of the environment's: trust may end there.
    told = host.check_output(
        f"openssl s_client -connect {address}:10250 -CAfile /etc/kubernetes/pki/ca.crt -partial_chain "
        f"-verify_return_error -verify_ip {address} </dev/null 2>&1"
    )
    assert "Verify return code: 0 (ok)" in told
