"""Alertmanager behind its sidecar: who may ask what, and who is told of what."""

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.means.alertmanager import Alertmanager, alertmanager, written
from tests.means.certificates import Authority
from tests.services.conftest import wait_until

from refsys.monitoring.components import Alerting, Mail

MAIL = Mail(("a@example.org", "b@example.org"), "refsys@example.org", "mail.example.org:587", "refsys", "not-a-secret")


def alert(severity: str, rule: str = "Failed logins", host: str = "w1") -> dict[str, Any]:
    return {"labels": {"alertname": rule, "host": host, "severity": severity}, "annotations": {"summary": "x"}}


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver on loopback; gives its address and what it was told."""
    told: list[dict[str, Any]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    server.server_close()


def test_the_detector_tells_and_operators_see_and_silence(alertmanager: Alertmanager) -> None:
    with alertmanager.client("detector") as detector:
        assert detector.post("/api/v2/alerts", json=[alert("high"), alert("low")]).status_code == 200
        assert detector.get("/api/v2/silences").status_code == 403
    wait_until(lambda: len(alertmanager.alerts()) == 2)
    states = {each["labels"]["severity"]: each["status"]["state"] for each in alertmanager.alerts()}
    assert states["high"] in ("active", "unprocessed")
    silence = {
        "matchers": [{"name": "alertname", "value": "Failed logins", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "anna",
        "comment": "known",
    }
    with alertmanager.client("operations") as operations:
        made = operations.post("/api/v2/silences", json=silence)
        assert made.status_code == 200
        assert operations.get("/api/v2/alerts/groups").status_code == 200
        assert operations.delete(f"/api/v2/silence/{made.json()['silenceID']}").status_code == 200


@pytest.mark.parametrize(
    ("process", "method", "path"),
    [
        ("operations", "POST", "/api/v2/alerts"),
        ("operations", "POST", "/-/reload"),
        ("detector", "POST", "/api/v2/silences"),
        ("log-indexer", "GET", "/api/v2/alerts"),
        ("detector", "GET", "/metrics"),
        ("prometheus", "GET", "/api/v2/alerts"),
        ("prometheus", "POST", "/api/v2/silences"),
    ],
)
def test_what_no_rule_names_is_refused(alertmanager: Alertmanager, process: str, method: str, path: str) -> None:
    with alertmanager.client(process) as client:
        assert client.request(method, path, json=[]).status_code == 403


def test_alerts_that_another_one_explains_are_held_back(alertmanager: Alertmanager) -> None:
    named = [
        {"alertname": "NodeGone", "node": "w8", "severity": "critical"},
        {"alertname": "TargetDown", "node": "w8", "severity": "medium"},
        {"alertname": "TargetDown", "node": "w9", "severity": "medium"},
        {"alertname": "KafkaDown", "severity": "critical"},
        {"alertname": "ConsumerLagHigh", "consumergroup": "catalogue", "severity": "high"},
        {"alertname": "DeploymentNotAvailable", "namespace": "processing", "severity": "high"},
        {"alertname": "DeploymentNotAvailable", "namespace": "iam", "severity": "high"},
        {"alertname": "Watchdog", "severity": "low"},
    ]
    with alertmanager.client("prometheus") as prometheus:
        assert prometheus.post("/api/v2/alerts", json=[{"labels": labels} for labels in named]).status_code == 200

    def held_back() -> list[tuple[str, str | None]]:
        found = [each for each in alertmanager.alerts() if each["status"]["state"] == "suppressed"]
        labels = [each["labels"] for each in found if each["labels"] in named]
        return sorted((each["alertname"], each.get("node") or each.get("namespace") or "") for each in labels)

    wait_until(lambda: len(held_back()) == 3)
    assert held_back() == [("ConsumerLagHigh", ""), ("DeploymentNotAvailable", "processing"), ("TargetDown", "w8")]


def test_the_dead_mans_switch_is_told_again_and_again_and_nobody_else_is(tmp_path: Path, authority: Authority) -> None:
    with webhook() as (people, told), webhook() as (switch, beats):
        alerting = Alerting(people, from_severity="low", dead_man_webhook=switch)
        with alertmanager(tmp_path, authority, alerting, faster=60) as running, running.client("prometheus") as client:
            client.post("/api/v2/alerts", json=[alert("low", "Watchdog"), alert("low", "Other")])
            wait_until(lambda: len(beats) >= 4 and bool(told))
    assert {each["labels"]["alertname"] for message in beats for each in message["alerts"]} == {"Watchdog"}
    assert {each["labels"]["alertname"] for message in told for each in message["alerts"]} == {"Other"}


def test_nobody_comes_in_without_a_certificate(alertmanager: Alertmanager) -> None:
    with alertmanager.client(None) as client, pytest.raises(httpx.TransportError):
        client.get("/api/v2/alerts")
    assert httpx.get(f"{alertmanager.front.health_url}/ready", trust_env=False).status_code == 200


def test_people_are_told_of_the_worst_at_once_and_of_the_same_rule_only_once(
    tmp_path: Path, authority: Authority
) -> None:
    with webhook() as (url, told), alertmanager(tmp_path, authority, Alerting(url, from_severity="high")) as running:
        with running.client("detector") as detector:
            detector.post("/api/v2/alerts", json=[alert("critical"), alert("high"), alert("medium", "Other")])
        wait_until(lambda: bool(told))
        time.sleep(1)
        (message,) = told
        assert message["groupLabels"] == {"alertname": "Failed logins", "host": "w1"}
        assert [each["labels"]["severity"] for each in message["alerts"]] == ["critical"]
        states = {each["labels"]["severity"]: each["status"]["state"] for each in running.alerts()}
        assert states["high"] == "suppressed"


@pytest.mark.parametrize(
    "alerting",
    [
        Alerting(),
        Alerting("https://example.org/x", MAIL, "low", "https://example.org/y"),
        Alerting(mail=MAIL),
        Alerting(dead_man_webhook="https://example.org/y"),
    ],
)
def test_alertmanager_accepts_the_configuration(tmp_path: Path, alerting: Alerting) -> None:
    done = subprocess.run(
        ["amtool", "check-config", written(tmp_path, alerting)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "mistake",
    [
        {"route": {"receiver": "nobody"}},
        {"route": {"receiver": "held", "routes": [{"matchers": ["severity=high"], "receiver": "people"}]}},
        {"route": {"receiver": "held", "group_wait": "soon"}},
        {"inhibit_rules": [{"source_matchers": ["alertname=~("]}]},
    ],
)
def test_amtool_refuses_a_wrong_configuration(tmp_path: Path, mistake: dict[str, Any]) -> None:
    file = written(tmp_path, Alerting())
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | mistake))
    done = subprocess.run(["amtool", "check-config", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
