"""Secrets of a running environment: nothing in clear, short-lived users, new certificates, copies, restarts."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.stream import stream

from refsys.infra import paths
from refsys.platform.components.names import NAMESPACES
from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(900)

LEAST = 16  # characters of a secret that is looked for; shorter ones are names
OWN_FILES = ("endpoints.json", "kubeconfig")
"""What the operator is given to get in, and nobody else can read."""


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
        time.sleep(2)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


@pytest.fixture(scope="module")
def known(cluster: client.ApiClient) -> set[str]:
    """All secrets of the environment: passwords, and private keys by their third line."""
    found: set[str] = set()
    for secret in client.CoreV1Api(cluster).list_secret_for_all_namespaces().items:
        for raw in (secret.data or {}).values():
            text = base64.b64decode(raw).decode(errors="ignore")
            parts = list(_texts(json.loads(text))) if text.startswith("{") else [text]
            for part in parts:
                keys = re.findall(r"BEGIN [A-Z ]*PRIVATE KEY-----\n.+\n(.+)\n", part)
                found |= set(keys) if keys or "BEGIN CERTIFICATE" in part else {part.strip()}
    return {text for text in found if len(text) >= LEAST and "\n" not in text}


def _leaked(text: str, known: set[str]) -> list[str]:
    encoded = {base64.b64encode(secret.encode()).decode().rstrip("=") for secret in known}
    return [secret[:4] + "…" for secret in known | encoded if secret in text]


def test_there_are_secrets_to_look_for(known: set[str]) -> None:
    assert len(known) > 20


def test_no_process_has_its_secrets_in_kubernetes(cluster: client.ApiClient) -> None:
    core = client.CoreV1Api(cluster)
    for namespace in ("processing", "networking"):
        assert [secret.metadata.name for secret in core.list_namespaced_secret(namespace).items] == []


def test_nothing_of_the_cluster_shows_a_secret(cluster: client.ApiClient, known: set[str]) -> None:
    core, apps, batch = client.CoreV1Api(cluster), client.AppsV1Api(cluster), client.BatchV1Api(cluster)
    shown = [
        core.list_config_map_for_all_namespaces(),
        core.list_pod_for_all_namespaces(),
        core.list_event_for_all_namespaces(),
        apps.list_deployment_for_all_namespaces(),
        apps.list_stateful_set_for_all_namespaces(),
        batch.list_job_for_all_namespaces(),
        batch.list_cron_job_for_all_namespaces(),
    ]
    for items in shown:
        for item in items.items:
            text = json.dumps(cluster.sanitize_for_serialization(item))
            assert _leaked(text, known) == [], f"{item.metadata.namespace}/{item.metadata.name}"


def test_no_log_shows_a_secret(cluster: client.ApiClient, environment: Environment, known: set[str]) -> None:
    core = client.CoreV1Api(cluster)
    for pod in core.list_pod_for_all_namespaces().items:
        for container in pod.spec.containers + (pod.spec.init_containers or []):
            name = f"{pod.metadata.namespace}/{pod.metadata.name}/{container.name}"
            try:
                text = core.read_namespaced_pod_log(
                    pod.metadata.name, pod.metadata.namespace, container=container.name, limit_bytes=50_000_000
                )
            except client.ApiException as error:
                assert error.status == 400, name  # not started
                continue
            assert _leaked(text, known) == [], name


def test_no_file_of_the_machine_shows_a_secret(environment: Environment, known: set[str]) -> None:
    """State, inventories, logs; not what the operator gets in with, nor the nodes' own disks with their databases."""
    nodes = environment.home / "nodes"
    for folder in (paths.home() / "pulumi", environment.home):
        for file in folder.rglob("*"):
            if nodes not in file.parents and file.is_file() and not file.is_symlink() and _is_text(file):
                assert _leaked(file.read_text(errors="ignore"), known) == [], file


def _is_text(file: Path) -> bool:
    if file.name in OWN_FILES:
        assert file.stat().st_mode & 0o077 == 0, file
        return False
    return (
        file.suffix in {".json", ".log", ".yml", ".yaml", ".txt", ".bak", ".attrs", ""} and file.stat().st_size < 2**26
    )


def _run(cluster: client.ApiClient, namespace: str, pod: str, container: str, *command: str) -> str:
    core = client.CoreV1Api(cluster)
    return str(
        stream(
            core.connect_get_namespaced_pod_exec, pod, namespace, container=container, command=list(command),
            stdout=True, stderr=True, stdin=False, tty=False,
        )
    )  # fmt: skip


def test_services_work_as_short_lived_users(cluster: client.ApiClient) -> None:
    query = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'refsys-%'"
    asked = ("psql", "-h", "/run/postgresql", "-U", "postgres", "-Atc", query)
    told = _run(cluster, "database", "postgresql-0", "postgresql", *asked)
    names = told.split()
    assert names and all(name.startswith("v-") for name in names), told


def test_secrets_are_in_memory_and_for_their_process_alone(cluster: client.ApiClient) -> None:
    for namespace in NAMESPACES:
        for pod in client.CoreV1Api(cluster).list_namespaced_pod(namespace).items:
            for volume in pod.spec.volumes or []:
                if volume.name == "secrets" and volume.empty_dir:
                    assert volume.empty_dir.medium == "Memory", pod.metadata.name


def test_openbao_comes_back_unsealed_when_its_pod_ends(cluster: client.ApiClient) -> None:
    core = client.CoreV1Api(cluster)
    before = core.read_namespaced_pod("openbao-0", "security").metadata.uid
    core.delete_namespaced_pod("openbao-0", "security")

    def ready() -> bool:
        try:
            pod = core.read_namespaced_pod("openbao-0", "security")
        except client.ApiException:
            return False
        states = pod.status.container_statuses or []
        return bool(pod.metadata.uid != before and states and states[0].ready)

    wait(ready, 180, "openbao-0 ready")
    apps = client.AppsV1Api(cluster)
    for item in apps.list_namespaced_deployment("processing").items:
        assert item.status.ready_replicas == item.spec.replicas, item.metadata.name


def test_a_copy_goes_to_the_object_store(cluster: client.ApiClient) -> None:
    batch = client.BatchV1Api(cluster)
    template = batch.read_namespaced_cron_job("openbao-backup", "security").spec.job_template
    batch.create_namespaced_job("security", {"metadata": {"name": "test-backup"}, "spec": template.spec})
    try:
        wait(
            lambda: bool(batch.read_namespaced_job("test-backup", "security").status.succeeded), 180, "the copy is made"
        )
    finally:
        batch.delete_namespaced_job("test-backup", "security", propagation_policy="Background")


def test_setting_up_again_changes_nothing(environment: Environment) -> None:
    done = environment.refsys("up", environment.name)
    assert "openbao-setup" not in done.output
