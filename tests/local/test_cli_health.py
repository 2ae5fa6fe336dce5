"""Logs, status and doctor of a running environment, as an operator uses them."""

import json
import stat
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from refsys.infra.doctor import known
from tests.local.conftest import Done, Environment
from tests.local.probes import image, pod

pytestmark = pytest.mark.timeout(900)

NAMESPACE = "processing"
QUICK_SECONDS = 5  # without the command's own start, which a busy machine makes long
NOTICED_SECONDS = 90
LOG_SECONDS = 30


def status(environment: Environment) -> tuple[Done, dict[str, Any]]:
    """What `status` says; it never takes long."""
    done = environment.refsys("status", environment.name, "--json", check=False)
    found: dict[str, Any] = json.loads(done.output)
    assert found["seconds"] < QUICK_SECONDS
    assert done.code == (0 if found["well"] else 1)
    return done, found


def serious(found: dict[str, Any]) -> list[str]:
    """What is not well."""
    return [each["what"] for part in found["parts"] for each in part["findings"] if each["serious"]]


def wait_until_told(environment: Environment, *texts: str) -> None:
    """Wait until all that is not well is these; nothing, when there are none."""
    until = time.monotonic() + NOTICED_SECONDS
    while True:
        told = serious(status(environment)[1])
        if len(told) == len(texts) and all(any(text in each for each in told) for text in texts):
            return
        assert time.monotonic() < until, told
        time.sleep(2)


@contextmanager
def scaled_to_zero(api: client.ApiClient, name: str) -> Iterator[None]:
    scale = client.AppsV1Api(api).patch_namespaced_deployment_scale
    scale(name, NAMESPACE, {"spec": {"replicas": 0}})
    try:
        yield
    finally:
        scale(name, NAMESPACE, {"spec": {"replicas": 1}})


@contextmanager
def crashing(api: client.ApiClient) -> Iterator[None]:
    """A pod that ends again and again, and says why."""
    core = client.CoreV1Api(api)
    manifest = pod("crashing", image(api), "import sys; print('no way to go on'); sys.exit(3)")
    manifest["spec"]["restartPolicy"] = "Always"
    core.create_namespaced_pod(NAMESPACE, manifest)
    try:
        yield
    finally:
        core.delete_namespaced_pod("probe-crashing", NAMESPACE, grace_period_seconds=0)


def test_status_is_well_in_a_few_lines(environment: Environment, cluster: client.ApiClient) -> None:
    done = environment.refsys("status", environment.name)
    assert " is well" in done.output.splitlines()[0]
    parts = [line.split()[1] for line in done.output.splitlines()[1:] if line[0] in "✓!"]
    assert parts == ["machine", "cluster", "platform", "chain", "security"]
    assert status(environment)[1]["parts"][3]["facts"]["figures"]["stations"] is not None


def test_status_tells_of_a_deployment_scaled_to_zero(environment: Environment, cluster: client.ApiClient) -> None:
    with scaled_to_zero(cluster, "stac"):
        wait_until_told(environment, "stac: is scaled to zero")
        assert environment.refsys("status", environment.name, check=False).code == 1
    wait_until_told(environment)


def test_status_tells_of_a_crash_loop_with_its_last_words(environment: Environment, cluster: client.ApiClient) -> None:
    with crashing(cluster):
        wait_until_told(environment, "it ended with 3 — no way to go on")
    wait_until_told(environment)


def test_logs_find_a_line_of_a_product_of_the_demo(environment: Environment, cluster: client.ApiClient) -> None:
    environment.refsys("demo", environment.name)  # publishes nothing where it ran before
    search = ["logs", environment.name, "--since", "2h", "--kind", "processing", "--json"]
    until = time.monotonic() + LOG_SECONDS
    while True:
        found = environment.refsys(*search, "--service", "publisher", "--mission", "S1").output.splitlines()
        products = {each for line in found if line[0] == "{" for each in json.loads(line).get("products", [])}
        ingested = sorted(each for each in products if each.endswith(".EOF"))  # level 0 is made here, not ingested
        if ingested:
            break
        assert time.monotonic() < until, found
        time.sleep(2)
    (*_, name) = ingested
    lines = environment.refsys("logs", environment.name, "--since", "2h", "--product", name).output.splitlines()
    said = {line.split()[3] for line in lines}
    assert {"ingestion-worker", "catalogue", "publisher"} <= said, "every step of the product"
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)


def test_doctor_collects_evidence_and_no_secret(environment: Environment, cluster: client.ApiClient) -> None:
    done = environment.refsys("doctor", environment.name)
    file = Path(done.output.splitlines()[-1].partition(" (")[0])
    try:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with tarfile.open(file) as archive:
            texts = {
                member.name.partition("/")[2]: content.read().decode()
                for member in archive.getmembers()
                if (content := archive.extractfile(member))
            }
    finally:
        file.unlink()
    wanted = ["summary.txt", "versions/tools.json", "stack/outputs.json", "stack/resources.json", "logs/pulumi.log"]
    wanted += ["nodes/cp1.txt", "nodes/w1.txt", "cluster/objects.txt", "cluster/events.txt", "operations/alerts.json"]
    assert set(wanted) <= set(texts)
    assert texts["not-collected.txt"] == "everything was collected\n"
    assert any(name.startswith("pods/processing/prip-") for name in texts)
    assert "## errors" in texts["nodes/w1.txt"]
    deployment = known.state(environment.name)
    secrets = known.of_state(deployment) | known.of_files(environment.name)
    assert len(secrets) > 50
    everything = "\n".join(texts.values())
    assert [value[:4] for value in secrets if len(value) >= 6 and value in everything] == []
