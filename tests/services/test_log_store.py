"""The log store behind its sidecar: each process may do its part, by its certificate, and nothing else."""

import json
from typing import Any

import httpx
import pytest
from tests.means.opensearch import LogStore
from tests.services.conftest import wait_until

DAY = "/logs-security-2026.01.31"
RECORD = {"@timestamp": "2026-01-31T12:00:00Z", "host": "w1", "program": "sshd", "message": "Failed password for root"}
QUERY = {"query": {"match": {"message": "password"}}}


def bulk(client: httpx.Client, path: str, action: dict[str, Any]) -> httpx.Response:
    lines = f"{json.dumps(action)}\n{json.dumps(RECORD)}\n"
    return client.post(f"{path}?refresh=true", content=lines, headers={"Content-Type": "application/x-ndjson"})


def test_what_the_indexer_writes_the_others_find(log_store: LogStore) -> None:
    with log_store.client("log-indexer") as indexer:
        mapping = {"properties": {"host": {"type": "keyword"}}}
        settings = {"number_of_replicas": 0}
        template = {"index_patterns": ["logs-*"], "template": {"settings": settings, "mappings": mapping}}
        assert indexer.put("/_index_template/logs", json=template).status_code == 200
        written = bulk(indexer, f"{DAY}/_bulk", {"index": {}})
        assert written.status_code == 200 and not written.json()["errors"]
        assert indexer.get("/_cluster/health").json()["status"] == "green"
    for process in ("detector", "operations"):
        with log_store.client(process) as client:
            (hit,) = client.post("/logs-*/_search", json=QUERY).json()["hits"]["hits"]
            assert hit["_source"] == RECORD
            assert client.get("/logs-*,-logs-other-*/_count").json()["count"] == 1
    with log_store.client("detector") as detector:
        assert detector.put("/alerts-2026.01/_create/a1", json={"rule": "x"}).status_code == 201
        assert detector.put("/alerts-2026.01/_create/a1", json={"rule": "x"}).status_code == 409
        assert detector.get("/alerts-2026.01/_doc/a1").json()["found"]
    with log_store.client("log-indexer") as indexer:
        assert indexer.delete(DAY).status_code == 200


def test_nobody_comes_in_without_a_certificate_of_the_environment(log_store: LogStore) -> None:
    with log_store.client(None) as client, pytest.raises(httpx.TransportError):
        client.get("/")


@pytest.mark.parametrize(
    ("process", "method", "path"),
    [
        ("catalogue", "GET", "/"),
        ("catalogue", "GET", "/logs-*/_search"),
        ("log-indexer", "GET", "/logs-*/_search"),
        ("log-indexer", "POST", "/_bulk"),
        ("log-indexer", "POST", "/alerts/_bulk"),
        ("log-indexer", "DELETE", "/logs-*"),
        ("log-indexer", "DELETE", "/_all"),
        ("detector", "POST", f"{DAY}/_bulk"),
        ("detector", "DELETE", DAY),
        ("detector", "GET", "/alerts/../_cluster/settings"),
        ("detector", "GET", "/_search"),
        ("operations", "PUT", "/alerts/_doc/1"),
        ("operations", "POST", f"{DAY}/_delete_by_query"),
        ("operations", "GET", "/%6cogs-*/_search"),
        ("operations", "GET", "/_nodes/stats"),
        ("operations", "PUT", "/_cluster/settings"),
    ],
)
def test_what_no_rule_names_is_refused(log_store: LogStore, process: str, method: str, path: str) -> None:
    with log_store.client(process) as client:
        assert client.request(method, path, json={}).status_code == 403


def test_a_bulk_request_writes_no_index_but_that_of_its_path(log_store: LogStore) -> None:
    with log_store.client("log-indexer") as indexer:
        refused = bulk(indexer, f"{DAY}/_bulk", {"index": {"_index": "alerts-2026.01"}})
    assert refused.status_code == 400
    assert "explicit index in bulk is not allowed" in refused.text


def test_the_kubelet_learns_how_the_server_is(log_store: LogStore) -> None:
    for path, status in (("/ready", 200), ("/live", 200), ("/logs-*/_search", 404)):
        assert httpx.get(f"{log_store.front.health_url}{path}", trust_env=False).status_code == status


def test_refusals_are_logged_with_whose_they_were(log_store: LogStore) -> None:
    with log_store.client("operations") as client:
        client.get("/_all/_search?q=not-for-the-log")
        client.get("/logs-*/_search")
    log = log_store.front.log
    wait_until(lambda: "/_all/_search" in log.read_text(), 15, "the refusal in the log")
    told = [json.loads(line) for line in log.read_text().splitlines() if "/_all/_search" in line]
    assert [(entry["client"], entry["status"]) for entry in told] == [("CN=operations", 403)]
    assert "not-for-the-log" not in log.read_text()
