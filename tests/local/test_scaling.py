"""The pool of production jobs in a running environment: jobs run there alone, and it follows their queue."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from refsys.infra import paths
from refsys.infra.scaling import auto
from refsys.infra.scaling.rule import SHRINK_SECONDS
from tests.local.conftest import Environment
from tests.local.test_production import order_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

POOL = {"min": 0, "max": 2, "memory_mib": 2048, "cpus": 2}
LONG = "import time; time.sleep({seconds}); raise SystemExit(200)"


@pytest.fixture(scope="module")
def core(environment: Environment) -> client.CoreV1Api:
    environment.configure(local={"workers": 1, "processing": POOL})
    environment.refsys("up", environment.name)
    return client.CoreV1Api(config.new_client_from_config(environment.endpoints()["kubeconfig"]))


def submit(environment: Environment, folder: Path, seconds: int, **more: Any) -> str:
    file = folder / "order.yaml"
    file.write_text(yaml.safe_dump(order_of(LONG.format(seconds=seconds), **more)))
    return environment.refsys("job", "submit", str(file), environment.name).output.strip()


def nodes(environment: Environment) -> dict[str, dict[str, Any]]:
    found = json.loads(environment.refsys("node", "list", environment.name, "--json").output)
    return {row["name"]: row for row in found if row["pool"] == "processing"}


def look(environment: Environment) -> str:
    return environment.refsys("scale", "--auto", environment.name, "--once").output


def forget_the_wait(environment: Environment) -> None:
    """Let what was needed lately have been needed long ago."""
    file = paths.environment_home(environment.name) / auto.FILE
    found = json.loads(file.read_text())
    needed = [[at - SHRINK_SECONDS, number] for at, number in found["needed"]]
    file.write_text(json.dumps({"needed": needed, "changed": found["changed"] - SHRINK_SECONDS}))


def test_without_jobs_there_is_no_node_and_none_is_made(environment: Environment, core: client.CoreV1Api) -> None:
    assert nodes(environment) == {}
    assert "0 nodes: 0 jobs run, none waits" in look(environment)


def test_a_job_that_waits_gets_a_node_and_runs_there(
    environment: Environment, core: client.CoreV1Api, tmp_path: Path
) -> None:
    job = submit(environment, tmp_path, 60)
    until = time.monotonic() + 60
    while not core.list_namespaced_pod("production-s1", label_selector=f"refsys/job={job}").items:
        assert time.monotonic() < until
        time.sleep(1)
    (pending,) = core.list_namespaced_pod("production-s1", label_selector=f"refsys/job={job}").items
    assert pending.spec.node_name is None, "on the workers there is no place for jobs now"
    told = look(environment)
    assert "1 urgent wait; 1 needed" in told
    assert nodes(environment)["p1"]["state"] == "ready"
    (node,) = core.list_node(label_selector="refsys/pool=processing").items
    assert [(taint.key, taint.value, taint.effect) for taint in node.spec.taints] == [
        ("refsys/pool", "processing", "NoSchedule")
    ]
    until = time.monotonic() + 120
    while json.loads(environment.refsys("job", "status", job, environment.name, "--json").output)["node"] != "p1":
        assert time.monotonic() < until
        time.sleep(2)
    others = core.list_pod_for_all_namespaces(field_selector="spec.nodeName=p1").items
    assert {each.metadata.namespace for each in others} <= {"production-s1", "kube-system"}


def test_many_jobs_ask_for_as_many_nodes_as_hold_them_up_to_the_most(
    environment: Environment, core: client.CoreV1Api, tmp_path: Path
) -> None:
    for _ in range(3):
        submit(environment, tmp_path, 90, cpus=1.2)
    forget_the_wait(environment)
    assert "2 needed" in look(environment)
    assert set(nodes(environment)) == {"p1", "p2"}


def test_it_shrinks_when_the_jobs_have_ended(environment: Environment, core: client.CoreV1Api) -> None:
    until = time.monotonic() + 600
    while sum(row["jobs"] for row in nodes(environment).values()):
        assert time.monotonic() < until
        time.sleep(5)
    forget_the_wait(environment)
    assert look(environment).startswith("2 nodes: 0 jobs run"), "what it has not seen for long enough is no reason"
    forget_the_wait(environment)
    assert "0 were enough for 10 min" in look(environment)
    assert nodes(environment) == {}
    assert json.loads(environment.refsys("status", environment.name, "--json").output)["well"]


def test_without_the_pool_jobs_run_on_the_workers_again(
    environment: Environment, core: client.CoreV1Api, tmp_path: Path
) -> None:
    environment.configure(local={"workers": 1})
    environment.refsys("up", environment.name)
    job = submit(environment, tmp_path, 1)
    environment.refsys("job", "wait", job, environment.name, "--timeout", "300", check=False)
    assert json.loads(environment.refsys("job", "status", job, environment.name, "--json").output)["node"] == "w1"
