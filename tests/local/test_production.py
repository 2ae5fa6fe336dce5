"""Production in a running environment: what the demo's day left there, and processors that misbehave in their pods."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(900)

EATS = "x = [b'x' * (1 << 20) for _ in range(4096)]"
FILLS = """
with open('big', 'wb') as file:
    for _ in range(4096):
        file.write(bytes(1 << 20))
import time
time.sleep(100)
"""
ASKS = """
import socket
socket.create_connection(('postgresql.database.svc.cluster.local', 5432), 3)
open('x.LIST', 'w')
"""
# Where its runner goes, a processor comes too, as nobody.
IS_NOBODY = """
import ssl
from urllib import error, request
try:
    store = 'https://object-store.infra.svc.cluster.local:7070/rs-jobs'
    request.urlopen(store, context=ssl._create_unverified_context())
except error.HTTPError as refused:
    if refused.code == 403:
        open('x.LIST', 'w')
"""
CHAINS = {"s1-aiop", "s2-l0u", "s3-l0"}


def order_of(code: str, **more: Any) -> dict[str, Any]:
    """An order whose task is this Python, in the image of the level-0 processor."""
    return {
        "chain": "by-hand",
        "taskTable": "FAULT",
        "mission": "S1",
        "satellite": "S1A",
        "priority": 100,
        "processor": {"image": "level0", "name": "FAULT", "version": "1"},
        "tasks": [{"name": "RUN", "command": ["python3", "-c", code], "timeoutSeconds": 120}],
        "cpus": 0.1,
        "memoryMib": 64,
        "workdirMib": 64,
        "inputs": [],
        "outputs": [{"productType": "X", "family": "L0_SEGMENT", "pattern": r".*\.SAFE"}],
    } | more


def listed(environment: Environment, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        environment.refsys("job", "list", environment.name, "--json", *words).output
    )
    return found


def test_the_day_s_sessions_are_made_once_and_an_order_of_them(
    environment: Environment, cluster: client.ApiClient
) -> None:
    assert cluster
    if not any(each["chain"] in CHAINS for each in listed(environment, "--count", "1000")):
        environment.refsys("demo", environment.name)
    before = listed(environment, "--count", "1000")
    by_session = {(each["chain"], each["trigger"]) for each in before if each["trigger"].startswith("session ")}
    assert {chain for chain, _ in by_session} == CHAINS
    ended = {each["outcome"] for each in before if each["chain"] in CHAINS and each["outcome"]}
    assert ended == {"OK"}, "sessions of other tests wait for their second channel"
    orders = json.loads(environment.refsys("order", "list", environment.name, "--json").output)
    assert [each["status"] for each in orders if each["processID"] == "s3-l0.S3_L0"] == ["successful"]
    shown = environment.refsys("demo", environment.name).output
    assert "each as its satellite sent it, published once" in shown
    assert "outputs as those of the job" in shown
    after = listed(environment, "--count", "1000")
    assert {each["id"] for each in after if each["chain"] != "bench"} == {
        each["id"] for each in before if each["chain"] != "bench"
    }, "the second demo makes no job but that of the bench"
    again = json.loads(environment.refsys("order", "list", environment.name, "--json").output)
    assert [each["jobID"] for each in again] == [each["jobID"] for each in orders]


@pytest.mark.long
def test_processors_that_misbehave_end_by_their_name_and_leave_nothing(
    environment: Environment, cluster: client.ApiClient, tmp_path: Path
) -> None:
    hang = {"name": "RUN", "command": ["python3", "-c", "import time; time.sleep(600)"], "timeoutSeconds": 5}
    faults = {
        "takes memory": (order_of(EATS), "NOK", "more memory than its limit of 64"),
        "hangs": (order_of("", tasks=[hang]), "TIMEOUT", "did not end within 5 s"),
        "writes too much": (order_of(FILLS), "NOK", "more than its work folder may hold"),
        "writes elsewhere": (order_of("open('/etc/passwd', 'a')"), "NOK", "left no list"),
        "makes nothing": (order_of("open('x.LIST', 'w')"), "NOK", "made no X"),
        "asks the network": (order_of(ASKS), "NOK", "left no list"),
        "asks the store": (order_of(IS_NOBODY), "NOK", "made no X"),
        "fails twice": (order_of("raise SystemExit(200)", retries=1), "NOK", "(2 attempts)"),
    }
    made: dict[str, str] = {}
    for name, (order, _, _) in faults.items():
        file = tmp_path / f"{len(made)}.yaml"
        file.write_text(yaml.safe_dump(order))
        made[name] = environment.refsys("job", "submit", str(file), environment.name).output.strip()
    for name, (_, outcome, reason) in faults.items():
        environment.refsys("job", "wait", made[name], environment.name, "--timeout", "300", check=False)
        info = json.loads(environment.refsys("job", "status", made[name], environment.name, "--json").output)
        assert info["outcome"] == outcome and reason in info["reason"], (name, info["reason"])
        assert len(info["past"]) == (1 if name == "fails twice" else 0), (name, info["past"])
    pods = client.CoreV1Api(cluster).list_namespaced_pod("production-s1").items
    assert [pod.metadata.name for pod in pods if pod.status.phase == "Running"] == []
