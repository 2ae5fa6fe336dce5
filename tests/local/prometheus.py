"""Prometheus and Alertmanager of a running environment, asked in their pods, past their sidecars."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from kubernetes import client
from kubernetes.stream import stream

from refsys.monitoring.components.alertmanager_config import SERVER_PORT as ALERTMANAGER_SERVER_PORT
from refsys.monitoring.components.prometheus_config import SERVER_PORT
from refsys.platform.components.names import ALERTMANAGER, PROMETHEUS, App

POD = f"{PROMETHEUS.name}-0"
Series = dict[str, Any]
# By the discovery script's Python; the server listens on loopback alone. A line for each address.
ASK = """
import json, sys, time, urllib.error, urllib.request
for url in json.loads(sys.argv[1]):
    started = time.monotonic()
    try:
        answer = urllib.request.urlopen(url).read()
    except urllib.error.HTTPError as error:
        answer = error.read()
    print(json.dumps({"seconds": time.monotonic() - started, **json.loads(answer)}), flush=True)
"""
PART = 40  # addresses in one command line


class Asked:
    """Prometheus in its pod."""

    def __init__(self, api: client.ApiClient) -> None:
        self.core = client.CoreV1Api(api)

    def query(self, expression: str, **more: str) -> list[Series]:
        """The result of an expression."""
        (answer,) = self.answers([expression], **more)
        assert answer["status"] == "success", answer
        found: list[Series] = answer["data"]["result"]
        return found

    def answers(self, expressions: Sequence[str], **more: str) -> list[Series]:
        """What is answered to expressions, in their order: `status`, `data` or `error`, and the `seconds` it took."""
        api = f"http://127.0.0.1:{SERVER_PORT}/api/v1/query"
        urls = [f"{api}?{_encoded({'query': each} | more)}" for each in expressions]
        parts = [urls[start : start + PART] for start in range(0, len(urls), PART)]
        return [
            json.loads(line)
            for part in parts
            for line in run(self.core, PROMETHEUS, "discovery", "python3", "-c", ASK, json.dumps(part)).splitlines()
        ]

    def told(self) -> list[dict[str, str]]:
        """Labels of the alerts that Alertmanager holds, also of those that others hold back."""
        url = f"--alertmanager.url=http://127.0.0.1:{ALERTMANAGER_SERVER_PORT}"
        said = run(self.core, ALERTMANAGER, "alertmanager", "amtool", "alert", "query", "-a", "-i", url, "-o", "json")
        return [each["labels"] for each in json.loads(said)]

    def ready(self) -> str | None:
        """The identity of the pod, if it is ready."""
        for pod in self.core.list_namespaced_pod(PROMETHEUS.namespace).items:
            if pod.metadata.name == POD and not pod.metadata.deletion_timestamp:
                conditions = {each.type: each.status for each in pod.status.conditions or []}
                return str(pod.metadata.uid) if conditions.get("Ready") == "True" else None
        return None


def run(core: client.CoreV1Api, app: App, container: str, *command: str) -> str:
    """What a command says in a container of the first running pod of an app."""
    selected = {"label_selector": f"app.kubernetes.io/name={app.name}", "field_selector": "status.phase=Running"}
    said = stream(
        core.connect_get_namespaced_pod_exec,
        core.list_namespaced_pod(app.namespace, **selected).items[0].metadata.name,
        app.namespace,
        container=container,
        command=list(command),
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    said.run_forever(timeout=60)
    told, failed = str(said.read_stdout()), said.read_stderr()
    assert said.returncode == 0, failed
    return told


def until(seconds: float, every: float = 3) -> Iterator[None]:
    """Yield again and again for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(every)


def _encoded(query: dict[str, str]) -> str:
    return "&".join(f"{key}={''.join(f'%{byte:02X}' for byte in value.encode())}" for key, value in query.items())
