"""Preview, policies, drift and copies of the state of a running environment."""

import json
import subprocess

import pytest
from kubernetes import client

from refsys.infra import backups
from refsys.infra.cli.preview import CHANGES
from refsys.infra.playbook import hosts, login
from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(1800)


def test_a_preview_of_an_unchanged_environment_tells_nothing(
    environment: Environment, cluster: client.ApiClient
) -> None:
    done = environment.refsys("preview", environment.name, "--expect-no-changes")
    assert "nothing changes" in done.output
    assert backups.of(environment.name)


@pytest.mark.long
def test_a_preview_of_a_larger_environment_names_the_node_first(
    environment: Environment, cluster: client.ApiClient
) -> None:
    environment.configure(local={"workers": 2}, limits={"nodes": 2})
    try:
        done = environment.refsys("preview", environment.name, "--expect-no-changes", check=False)
        assert done.code == CHANGES
        lines = [line.strip() for line in done.output.splitlines()]
        assert lines[lines.index("nodes") + 1] == "+ create   Node w2"
        refused = environment.refsys("up", environment.name, check=False)
        assert refused.code == 1
        assert "3 nodes, 2 are allowed" in refused.output
        assert "rule too-many-nodes" in environment.refsys("policy", environment.name, check=False).output
    finally:
        environment.configure(local={"workers": 1}, limits={})
    environment.configure(protected=True)
    try:
        assert "--unprotect" in environment.refsys("down", environment.name, check=False).output
    finally:
        environment.configure(protected=False)


@pytest.mark.long
def test_drift_is_none_then_told_then_mended(environment: Environment, cluster: client.ApiClient) -> None:
    assert "no drift" in environment.refsys("drift", environment.name).output
    node = login(hosts(environment.inventory())["w1"])
    subprocess.run([*node, "echo : elsewhere >>/etc/profile.d/60-hardening.sh"], check=True)
    client.AppsV1Api(cluster).patch_namespaced_deployment("prip", "processing", {"spec": {"replicas": 0}})
    done = environment.refsys("drift", environment.name, "--json", check=False)
    assert done.code == CHANGES
    found = json.loads(done.output[done.output.index("{\n") :])
    assert {change["name"] for change in found["outside"]} == {"processing-prip"}
    assert {finding["node"] for finding in found["nodes"]} == {"w1"}
    assert any("elsewhere" in line for finding in found["nodes"] for line in finding["diff"])
    environment.refsys("up", environment.name)
    assert "no drift" in environment.refsys("drift", environment.name, "--mend").output
