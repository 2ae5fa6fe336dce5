"""Metrics on real Prometheus and Alertmanager: discovery, scraping, restarts, alerts, the operators' questions."""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.means.alertmanager import Alertmanager
from tests.means.certificates import Authority, Certificate
from tests.means.prometheus import Prometheus as PrometheusServer
from tests.means.prometheus import prometheus
from tests.services.conftest import wait_until
from tests.services.kept import NO_METRICS
from tests.services.log_store_clients import client_settings

from refsys.monitoring.components import discovery
from refsys.monitoring.components.scraping import DISCOVERY_DIRECTORY, scrape_configs
from refsys.services.common.messages import iso, utc_now
from refsys.services.common.settings import PrometheusSettings
from refsys.services.distribution.responses import handle_errors
from refsys.services.metrics.api import router
from refsys.services.metrics.prometheus import Prometheus, PrometheusDownError, QueryError

TOKEN = "a-token"
FIGURES = "refsys_test_total 7\npython_gc_collections_total 3\nrefsys_test_created 1\n"
RULES = {"groups": [{"name": "test", "rules": [{"alert": "Down", "expr": "up == 0", "labels": {"severity": "high"}}]}]}


@contextmanager
def served(answers: Mapping[str, str], tls: Certificate | None = None) -> Iterator[int]:
    """A server on loopback that answers paths with texts; with TLS it wants the token. Gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers and (not tls or self.headers["Authorization"] == f"Bearer {TOKEN}")
            self.send_response(200 if known else 403)
            self.end_headers()
            self.wfile.write(answers.get(self.path, "").encode() if known else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate_file, tls.key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def pod(namespace: str, name: str, port: int, port_name: str = "metrics") -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": f"{name}-0", "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "nodeName": "w1",
            "containers": [{"ports": [{"name": port_name, "containerPort": port}, {"containerPort": 1}]}],
            "initContainers": [{"ports": [{"name": "https", "containerPort": 2}]}],
        },
        "status": {"podIP": "127.0.0.1"},
    }


def cluster(pods: list[dict[str, Any]]) -> dict[str, str]:
    """The answers of an API server."""
    address = {"type": "InternalIP", "address": "127.0.0.1"}
    nodes = [{"metadata": {"name": "cp1"}, "status": {"addresses": [{"type": "Hostname", "address": "cp1"}, address]}}]
    found = {"pods": pods, "nodes": nodes}
    return {path: json.dumps({"items": found[name]}) for name, (path, _) in discovery.KINDS.items()}


def moved(folder: Path, *names: str) -> list[dict[str, Any]]:
    """Scrape configurations of an environment, that read the discovery's files in a folder, and ask often."""
    text = json.dumps([job for job in scrape_configs() if job["job_name"] in names])
    configs: list[dict[str, Any]] = json.loads(text.replace(DISCOVERY_DIRECTORY, str(folder)))
    return configs


def static(port: int) -> list[dict[str, Any]]:
    return [{"job_name": "test", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]


def api_of(client: Prometheus) -> TestClient:
    """The operators' API over metrics, to whoever asks."""
    app = FastAPI()
    app.state.prometheus = client
    app.include_router(router)
    handle_errors(app)
    return TestClient(app)


def test_what_runs_in_the_cluster_is_found_and_asked(tmp_path: Path, authority: Authority) -> None:
    tokens, found = tmp_path / "tokens", tmp_path / "found"
    tokens.mkdir()
    found.mkdir()
    (tokens / "token").write_text(TOKEN)
    (tokens / "ca.crt").write_bytes(authority.ca_file.read_bytes())
    with served({"/metrics": FIGURES}) as port:
        pods = [pod("processing", "prip", port), pod("infra", "kafka", port, "metrics-x"), pod("infra", "other", 1, "")]
        with served(cluster(pods), authority.issue("api-server")) as api:
            discovery.write(f"https://127.0.0.1:{api}", tokens, found)
        before = (found / "pods.json").read_text()
        with pytest.raises(OSError):
            discovery.write(f"https://127.0.0.1:{api}", tokens, found)
        assert (found / "pods.json").read_text() == before, "what was found stays while nobody answers"
        configs = moved(found, "pods", "envoy")
        with prometheus(tmp_path / "prometheus", authority, scrape_configs=configs) as running:
            wait_until(lambda: len(running.query("refsys_test_total")) == 2)
            labels = {each["metric"]["job"]: each["metric"] for each in running.query("refsys_test_total")}
            assert labels["chain"] == {
                "__name__": "refsys_test_total",
                "job": "chain",
                "namespace": "processing",
                "pod": "prip-0",
                "app": "prip",
                "node": "w1",
                "instance": "prip-0",
            }
            assert labels["x"]["app"] == "kafka"
            assert running.query('{__name__=~"python_gc.*|refsys_.*_created"}') == [], "nobody looks at these"
            assert {each["metric"]["job"] for each in running.query("up")} == {"chain", "x"}
    nodes = json.loads((found / "nodes.json").read_text())
    assert [node["labels"]["__meta_kubernetes_node_name"] for node in nodes] == ["cp1"]


def test_a_restart_loses_nothing_that_was_scraped(tmp_path: Path, authority: Authority) -> None:
    with served({"/metrics": FIGURES}) as port, prometheus(tmp_path, authority, scrape_configs=static(port)) as running:

        def samples() -> list[Any]:
            found = running.query("refsys_test_total[5m]")
            return found[0]["values"] if found else []

        wait_until(lambda: len(samples()) >= 4)
        before = samples()
        running.server.kill()
        running.server.start()
        wait_until(lambda: len(samples()) > len(before))
        assert samples()[: len(before)] == before


def test_operators_see_what_does_not_answer(tmp_path: Path, authority: Authority) -> None:
    with prometheus(tmp_path, authority, scrape_configs=static(1)) as running:
        client = Prometheus(client_settings(PrometheusSettings, running.url, authority, "operations"))
        api = api_of(client)

        def shown() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = api.get("/operations/v1/metrics/targets").json()["value"]
            return found

        wait_until(lambda: bool(shown()) and shown()[0]["health"] == "down")
        (target,) = shown()
        assert target["labels"] == {"job": "test", "instance": "127.0.0.1:1"}
        assert "connection refused" in target["error"]
        client.close()


def test_alerts_reach_alertmanager_by_mutual_tls(
    tmp_path: Path, authority: Authority, alertmanager: Alertmanager
) -> None:
    shown = authority.issue("prometheus")
    there = {
        "scheme": "https",
        "static_configs": [{"targets": [alertmanager.url.removeprefix("https://")]}],
        "tls_config": {
            "ca_file": str(authority.ca_file),
            "cert_file": str(shown.certificate_file),
            "key_file": str(shown.key_file),
        },
    }
    rules = {"test.yml": yaml.safe_dump(RULES)}
    with prometheus(
        tmp_path / "prometheus", authority, rules, scrape_configs=static(1), alerting={"alertmanagers": [there]}
    ):
        wait_until(lambda: bool(alertmanager.alerts()))
    (alert,) = alertmanager.alerts()
    assert (alert["labels"]["alertname"], alert["labels"]["severity"]) == ("Down", "high")


@pytest.mark.parametrize(
    ("process", "method", "path"),
    [
        ("operations", "POST", "/-/quit"),
        ("operations", "POST", "/-/reload"),
        ("operations", "POST", "/api/v1/admin/tsdb/delete_series"),
        ("operations", "POST", "/api/v1/write"),
        ("operations", "GET", "/api/v1/status/config"),
        ("operations", "GET", "/federate"),
        ("detector", "GET", "/api/v1/query"),
    ],
)
def test_what_no_rule_names_is_refused(
    prometheus_server: PrometheusServer, process: str, method: str, path: str
) -> None:
    with prometheus_server.client(process) as client:
        assert client.request(method, path).status_code == 403


def test_nobody_asks_without_a_certificate_but_for_its_own_metrics(prometheus_server: PrometheusServer) -> None:
    with prometheus_server.client(None) as client, pytest.raises(httpx.TransportError):
        client.get("/api/v1/query")
    front = prometheus_server.front
    answer = httpx.get(f"{front.health_url}/metrics", trust_env=False)
    assert "prometheus_tsdb_head_series" in answer.text
    assert httpx.get(f"{front.health_url}/api/v1/query?query=up", trust_env=False).status_code == 404
    answer = httpx.get(f"{front.metrics_url}/metrics", trust_env=False)
    assert "envoy_server_live{} 1" in answer.text
    assert httpx.post(f"{front.metrics_url}/quitquitquit", trust_env=False).status_code == 404


def test_processes_ask(metrics: Prometheus) -> None:
    assert metrics.query("vector(1)")["result"][0]["value"][1] == "1"
    end = utc_now()
    found = metrics.query_range("vector(2)", end - timedelta(minutes=5), end, 60)
    assert found["resultType"] == "matrix"
    assert len(found["result"][0]["values"]) == 6
    with pytest.raises(QueryError, match="unclosed"):
        metrics.query("rate(up")
    with pytest.raises(QueryError, match="exceeded maximum resolution"):
        metrics.query_range("up", end - timedelta(days=2), end, 1)
    with pytest.raises(PrometheusDownError):
        NO_METRICS.query("up")


def test_operators_ask(metrics: Prometheus) -> None:
    api = api_of(metrics)
    moment = utc_now() - timedelta(minutes=1)
    answer = api.get("/operations/v1/metrics/query", params={"query": "time()", "time": iso(moment)}).json()
    assert answer["resultType"] == "scalar"
    assert float(answer["result"][1]) == pytest.approx(moment.timestamp(), abs=0.01)
    answer = api.get("/operations/v1/metrics/query_range", params={"query": "vector(1)", "step": "600"}).json()
    values = answer["result"][0]["values"]
    assert len(values) == 7
    assert values[-1][0] == pytest.approx(time.time(), abs=30)
    assert api.get("/operations/v1/metrics/targets").json() == {"count": 0, "value": []}
    wrong = api.get("/operations/v1/metrics/query", params={"query": "sum("})
    assert wrong.status_code == 400
    assert "parse error" in wrong.json()["error"]["message"]
