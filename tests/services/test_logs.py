"""Logs and alerts on real Kafka, OpenSearch and Alertmanager: indexing, detection, the operators' search."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import HttpUrl
from tests.services.conftest import wait_until
from tests.services.kept import NO_LOGS

from refsys.services.common import topics
from refsys.services.common.bus import kafka_options
from refsys.services.common.messages import iso
from refsys.services.common.process import Process
from refsys.services.common.settings import AlertmanagerSettings, KafkaSettings, SettingsError
from refsys.services.detection.alerts import Alert, Alertmanager, AlertmanagerDownError
from refsys.services.detection.detector import Detector
from refsys.services.detection.rules import load_rules
from refsys.services.logs import indexer
from refsys.services.logs.api import router
from refsys.services.logs.records import document_of
from refsys.services.logs.store import LogStore, hits
from refsys.services.logs.templates import ALERTS, LOGS, index_of

InThread = Callable[[Callable[[], None]], AbstractContextManager[None]]
Settings = Callable[[str], KafkaSettings]
Document = dict[str, Any]

RULES = """\
title: Failed login
id: 11111111-1111-4111-8111-111111111111
name: failed_login
status: stable
level: low
runbook: docs/runbooks/security/ssh-brute-force.md
logsource: {product: refsys, service: journal}
detection:
  selection: {program: sshd, message|contains: ['Failed password', 'Invalid user']}
  condition: selection
---
title: Many failed logins
id: 22222222-2222-4222-8222-222222222222
status: stable
level: high
runbook: docs/runbooks/security/ssh-brute-force.md
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [host]
  timespan: 1m
  condition: {gte: 5}
---
title: Shell in a container
id: 33333333-3333-4333-8333-333333333333
status: stable
level: critical
description: Somebody entered a container.
runbook: docs/runbooks/security/shell-in-container.md
logsource: {product: refsys, service: kubernetes}
detection:
  selection: {event.objectRef.subresource: [exec, attach], event.responseStatus.code: 101}
  condition: selection
"""


@pytest.fixture
def host() -> str:
    """A host of this test alone: the store is shared."""
    return f"node-{uuid4().hex[:8]}"


def failed_login(host: str, moment: datetime, user: str = "root") -> Document:
    message = f"Failed password for {user} from 192.0.2.7 port 4711 ssh2"
    return record(host, "journal", "sshd", message, moment)


def shell(host: str, moment: datetime) -> Document:
    event = {
        "kind": "Event",
        "verb": "create",
        "stageTimestamp": iso(moment),
        "user": {"username": "mallory"},
        "objectRef": {"resource": "pods", "subresource": "exec", "name": "kafka-0"},
        "responseStatus": {"metadata": {}, "code": 101},
    }
    return record(host, "kubernetes", "kube-apiserver", json.dumps(event), moment)


def record(host: str, source: str, program: str, message: str, moment: datetime) -> Document:
    fields = {"host": host, "source": source, "program": program, "severity": "info", "message": message}
    return {"@timestamp": iso(moment), **fields}


def now() -> datetime:
    return datetime.now(UTC)


class Collector:
    """Sends what a node's collector sends."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = Producer(kafka_options(settings, "log-collector"))

    def send(self, topic: str, *records: Document | bytes) -> None:
        for each in records:
            self._producer.produce(topic, each if isinstance(each, bytes) else json.dumps(each).encode())
        assert self._producer.flush(30) == 0


@pytest.fixture
def collector(kafka_settings: Settings) -> Collector:
    return Collector(kafka_settings("log-collector"))


@pytest.fixture
def indexing(
    kafka_settings: Settings, log_store: LogStore, new_process: Callable[[str], Process], in_thread: InThread
) -> Iterator[Process]:
    """The indexer at work."""
    running = new_process("log-indexer")
    with in_thread(partial(indexer.serve, running, kafka_settings("log-indexer"), log_store)):
        yield running
        running.stop.set()


def found(store: LogStore, host: str) -> list[Document]:
    query = {"size": 1000, "sort": ["@timestamp"], "query": {"term": {"host": host}}}
    return list(hits(store.search("logs-*", query)))


def wait_for(store: LogStore, host: str, count: int) -> list[Document]:
    wait_until(lambda: len(found(store, host)) >= count, seconds=40)
    return found(store, host)


def put(store: LogStore, *records: Document) -> None:
    """Store records as the indexer does."""
    store.prepare(indexer.TEMPLATE)
    for each in records:
        document, moment = document_of(json.dumps(each).encode(), now())
        index = index_of("logs-security", moment.date())
        store.keep(index, [(uuid4().hex, document | {"indexed": iso(now())})])


@pytest.fixture
def rules_folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yml").write_text(RULES)
    return tmp_path / "rules"


@pytest.fixture
def detector(rules_folder: Path, log_store: LogStore, alertmanager_settings: AlertmanagerSettings) -> Detector:
    manager = Alertmanager(alertmanager_settings, "https://docs.example.test")
    return Detector(load_rules(rules_folder), log_store, manager, since=now() - timedelta(seconds=30))


def look(detector: Detector, host: str) -> list[Alert]:
    """The new alerts of this test's host."""
    return [alert for alert in detector.look(now()) if alert.host == host]


def alerts_of(store: LogStore, host: str) -> list[Document]:
    return list(hits(store.search(ALERTS, {"size": 100, "query": {"term": {"host": host}}})))


def test_records_are_indexed_once_with_their_fields(
    collector: Collector, indexing: Process, log_store: LogStore, host: str
) -> None:
    moment = now()
    line = {
        "header": {"type": "LOG", "timestamp": iso(moment), "level": "ERROR", "mission": "S1"},
        "message": {"content": "no space left"},
        "custom": {"product_string": "S1A_X"},
    }
    collector.send("logs-security", failed_login(host, moment), shell(host, moment + timedelta(seconds=1)))
    said = record(host, "container", "catalogue", json.dumps(line), moment + timedelta(seconds=2))
    collector.send("logs-processing", said | {"namespace": "processing", "pod": "catalogue-1"})
    login, entered, chain = wait_for(log_store, host, 3)
    assert login["message"].startswith("Failed password")
    assert entered["event"]["objectRef"]["subresource"] == "exec"
    assert chain["message"] == "no space left"
    assert chain["severity"] == "err"
    assert chain["event"]["custom"] == {"product_string": "S1A_X"}
    written = hits(log_store.search("logs-processing-*", {"query": {"ids": {"values": [chain["_id"]]}}}))
    assert [each["pod"] for each in written] == ["catalogue-1"]


def test_a_batch_that_comes_again_changes_nothing(
    collector: Collector, kafka_settings: Settings, log_store: LogStore, host: str
) -> None:
    collector.send(
        "logs-system", *(record(host, "journal", "systemd", f"line {number}", now()) for number in range(50))
    )
    options = {"group.id": host, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer(kafka_options(kafka_settings("admin"), "tests") | options)
    consumer.assign([TopicPartition("logs-system", number, OFFSET_BEGINNING) for number in range(topics.PARTITIONS)])
    records = consumer.consume(1000, 5)
    consumer.close()
    for _ in range(2):
        indexer.write(log_store, records)
    wait_for(log_store, host, 50)
    assert sorted(each["message"] for each in found(log_store, host)) == sorted(
        f"line {number}" for number in range(50)
    )


def test_what_is_no_record_or_does_not_fit_is_kept(
    collector: Collector, indexing: Process, log_store: LogStore, host: str
) -> None:
    strange = {"objectRef": "no object", "responseStatus": [1], "stageTimestamp": iso(now())}
    collector.send("logs-security", record(host, "kubernetes", "kube-apiserver", json.dumps(strange), now()))
    broken = f'{{"half": "{host}'.encode() + b"\xff"
    collector.send("logs-system", broken)
    (kept,) = wait_for(log_store, host, 1)
    assert json.loads(kept["message"]) == strange
    assert "event" not in kept
    query = {"query": {"wildcard": {"message": {"value": f"*{host}*"}}}}
    wait_until(lambda: len(list(hits(log_store.search("logs-system-*", query)))) == 1, seconds=20)
    (raw,) = hits(log_store.search("logs-system-*", query))
    assert raw["source"] == "unreadable"


def test_nothing_is_lost_while_the_store_is_away(  # noqa: PLR0917  # fixtures
    collector: Collector,
    kafka_settings: Settings,
    log_store: LogStore,
    new_process: Callable[[str], Process],
    in_thread: InThread,
    host: str,
) -> None:
    running = new_process("log-indexer")
    collector.send("logs-system", record(host, "journal", "systemd", "said meanwhile", now()))
    with in_thread(partial(indexer.serve, running, kafka_settings("log-indexer"), NO_LOGS)):
        wait_until(lambda: "log store" in (running.health.unreadiness() or ""), seconds=20)
        running.stop.set()
    collector.send("logs-system", record(host, "journal", "systemd", "said meanwhile", now()))
    again = new_process("log-indexer")
    with in_thread(partial(indexer.serve, again, kafka_settings("log-indexer"), log_store)):
        collector.send("logs-system", record(host, "journal", "systemd", "and later", now()))
        wait_for(log_store, host, 1)
        again.stop.set()


def test_old_indices_go(log_store: LogStore, host: str) -> None:
    today = date(2026, 11, 22)
    days = {topic: today - kept for topic, kept in LOGS.items()}
    for topic, day in days.items():
        for moment in (day, day - timedelta(days=1)):
            log_store.keep(index_of(topic, moment), [("x", {"@timestamp": "2026-01-01T00:00:00Z", "host": host})])
    gone = log_store.forget_old(today)
    assert gone == sorted(index_of(topic, day - timedelta(days=1)) for topic, day in days.items())
    assert len(found(log_store, host)) == len(LOGS)
    assert log_store.forget_old(today) == []


def test_alerts_are_raised_once_and_go_on(
    detector: Detector, log_store: LogStore, alertmanager_settings: AlertmanagerSettings, host: str
) -> None:
    begin = now() - timedelta(seconds=20)
    logins = [failed_login(host, begin + timedelta(seconds=number)) for number in range(6)]
    put(log_store, *logins[:4], shell(host, begin))
    assert [alert.rule.title for alert in look(detector, host)] == ["Shell in a container"]
    put(log_store, logins[4])
    (alert,) = look(detector, host)
    assert (alert.rule.title, alert.host, alert.records) == ("Many failed logins", host, 5)
    put(log_store, logins[5])
    assert look(detector, host) == []
    kept = {each["title"]: each for each in alerts_of(log_store, host)}
    assert kept.keys() == {"Shell in a container", "Many failed logins"}
    assert kept["Many failed logins"]["records"] == 6
    assert kept["Many failed logins"]["level"] == "high"
    assert len(kept["Many failed logins"]["evidence"]) == 5
    assert "192.0.2.7" in kept["Many failed logins"]["evidence"][0]["message"]
    answer = httpx.get(f"{alertmanager_settings.url}api/v2/alerts", params={"filter": f'host="{host}"'})
    told = {each["labels"]["alertname"]: each for each in answer.json()}
    assert told.keys() == kept.keys()
    assert told["Shell in a container"]["labels"]["severity"] == "critical"
    runbook = told["Shell in a container"]["annotations"]["runbook"]
    assert runbook == "https://docs.example.test/docs/runbooks/security/shell-in-container.md"


def test_slow_guesses_raise_no_alert(detector: Detector, log_store: LogStore, host: str) -> None:
    put(log_store, *(failed_login(host, now() - timedelta(seconds=16 * number)) for number in range(8)))
    assert look(detector, host) == []
    assert alerts_of(log_store, host) == []


def test_another_detector_goes_on_and_raises_nothing_twice(
    detector: Detector, rules_folder: Path, log_store: LogStore, alertmanager_settings: AlertmanagerSettings, host: str
) -> None:
    put(log_store, shell(host, now()))
    nowhere = Alertmanager(AlertmanagerSettings(url=HttpUrl("http://127.0.0.1:1")))
    killed = Detector(load_rules(rules_folder), log_store, nowhere, since=now() - timedelta(seconds=30))
    with pytest.raises(AlertmanagerDownError, match="did not take"):
        killed.look(now())
    assert look(detector, host) == []
    assert len(alerts_of(log_store, host)) == 1
    answer = httpx.get(f"{alertmanager_settings.url}api/v2/alerts", params={"filter": f'host="{host}"'})
    assert len(answer.json()) == 1, "what the killed one could not tell is told by the next"
    put(log_store, shell(host, now() + timedelta(minutes=10)))
    assert len(look(detector, host)) == 1, "after a quiet time it is another alert"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("service: journal", "service: windows"), "the log source of 'Failed login' must be"),
        (("condition: selection\n---", "condition: nothing\n---"), "holds a wrong rule"),
        (("rules: [failed_login]", "rules: [other]"), "names 'other', which is no rule"),
        (("level: high\n", ""), "'Many failed logins' needs an id, a level and a runbook"),
        (("type: event_count", "type: value_count"), "rule"),
        ((RULES, "title: x"), "holds a wrong rule"),
    ],
)
def test_wrong_rules_are_refused_with_the_reason(rules_folder: Path, change: tuple[str, str], reason: str) -> None:
    (rules_folder / "rules.yml").write_text(RULES.replace(*change))
    with pytest.raises(SettingsError, match=reason) as refused:
        load_rules(rules_folder)
    assert "rules.yml" in str(refused.value)


@pytest.fixture
def api(log_store: LogStore) -> TestClient:
    app = FastAPI()
    app.state.log_store = log_store
    app.include_router(router)
    return TestClient(app)


def test_operators_search_logs_and_alerts(api: TestClient, detector: Detector, log_store: LogStore, host: str) -> None:
    moment = now() - timedelta(seconds=30)
    lines = [
        record(host, "container", "catalogue", "stored S1A_IW_RAW__0SDV_2.SAFE at last", moment),
        failed_login(host, moment + timedelta(seconds=1)) | {"severity": "warning"},
        shell(host, moment + timedelta(seconds=2)),
    ]
    put(log_store, *lines)
    detector.look(now())

    def programs(**query: str) -> list[str]:
        answer = api.get("/operations/v1/logs", params={"host": host, **query})
        assert answer.status_code == 200, answer.text
        assert answer.json()["count"] == len(answer.json()["value"])
        return [each["program"] for each in answer.json()["value"]]

    assert programs() == ["kube-apiserver", "sshd", "catalogue"], "the newest first"
    assert programs(product="S1A_IW_RAW__0SDV_2.SAFE") == ["catalogue"]
    assert programs(product="S1A_IW*2.SAFE") == []
    assert programs(text="stored last") == ["catalogue"]
    assert programs(severity="warning") == ["sshd"]
    assert programs(kind="processing") == []
    assert programs(until=iso(moment)) == []
    assert programs(since=iso(moment + timedelta(seconds=2))) == ["kube-apiserver"]
    (alert,) = api.get("/operations/v1/alerts", params={"host": host, "level": "high"}).json()["value"]
    assert alert["title"] == "Shell in a container"
    assert api.get(f"/operations/v1/alerts/{alert['id']}").json() == alert
