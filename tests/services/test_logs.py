"""Logs and alerts on real Kafka, OpenSearch and Alertmanager: indexing, detection, the operators' search."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import HttpUrl
from tests.means.alertmanager import Alertmanager as AlertmanagerServer
from tests.services.conftest import wait_until
from tests.services.kept import NO_LOGS
from tests.services.log_store_clients import StoreOf, client_settings

from refsys.infra import paths
from refsys.services.common import topics
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import iso
from refsys.services.common.process import Process
from refsys.services.common.settings import AlertmanagerSettings, KafkaSettings, SettingsError
from refsys.services.detection.alerts import Alert, Alertmanager, AlertmanagerDownError
from refsys.services.detection.detector import Detector
from refsys.services.detection.rules import load_rules
from refsys.services.logs import indexer
from refsys.services.logs.api import router
from refsys.services.logs.records import document_of
from refsys.services.logs.store import LogStore, StoreDownError, hits
from refsys.services.logs.templates import ALERTS, KEPT, LOGS, index_of

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
runbook: docs/runbooks/security/container-shell.md
logsource: {product: refsys, service: kubernetes}
detection:
  selection: {event.objectRef.subresource: [exec, attach], event.responseStatus.code: 101}
  condition: selection
"""


HOST = "w1"


@pytest.fixture
def store(store_of: StoreOf) -> LogStore:
    """As operators read it."""
    return store_of("operations")


@pytest.fixture
def tell(alertmanager: AlertmanagerServer) -> AlertmanagerSettings:
    """Alertmanager, for the detector."""
    return client_settings(AlertmanagerSettings, alertmanager.url, alertmanager.front.authority, "detector")


def failed_login(moment: datetime, user: str = "root") -> Document:
    message = f"Failed password for {user} from 192.0.2.7 port 4711 ssh2"
    return record("journal", "sshd", message, moment)


def shell(moment: datetime) -> Document:
    event = {
        "kind": "Event",
        "verb": "create",
        "stageTimestamp": iso(moment),
        "user": {"username": "mallory"},
        "objectRef": {"resource": "pods", "subresource": "exec", "name": "kafka-0"},
        "responseStatus": {"metadata": {}, "code": 101},
    }
    return record("kubernetes", "kube-apiserver", json.dumps(event), moment)


def record(source: str, program: str, message: str, moment: datetime) -> Document:
    fields = {"host": HOST, "source": source, "program": program, "severity": "info", "message": message}
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
    kafka_settings: Settings, store_of: StoreOf, new_process: Callable[[str], Process], in_thread: InThread
) -> Iterator[Process]:
    """The indexer at work, from here on."""
    skip_to_end(kafka_settings("log-indexer"))
    running = new_process("log-indexer")
    with in_thread(partial(indexer.serve, running, kafka_settings("log-indexer"), store_of("log-indexer"))):
        yield running
        running.stop.set()


def skip_to_end(settings: KafkaSettings) -> None:
    """Leave out what other tests have sent."""
    consumer = Consumer(kafka_options(settings, "tests") | {"group.id": "log-indexer", "enable.auto.commit": False})
    places = [TopicPartition(topic, number) for topic in KEPT for number in range(topics.PARTITIONS)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, 10)[1]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def found(store: LogStore) -> list[Document]:
    return list(hits(store.search("logs-*", {"size": 1000, "sort": ["@timestamp"]})))


def wait_for(store: LogStore, count: int) -> list[Document]:
    def there() -> bool:
        try:
            return len(found(store)) >= count
        except StoreDownError:  # an index that is only being made cannot be searched
            return False

    wait_until(there, seconds=40)
    return found(store)


@pytest.fixture
def put(store_of: StoreOf) -> Callable[..., None]:
    """Stores records as the indexer does."""
    store = store_of("log-indexer")
    indexer.prepare(store)

    def write(*records: Document) -> None:
        for each in records:
            document, moment = document_of(json.dumps(each).encode(), now())
            index = index_of("logs-security", moment.date())
            store.keep(index, [(uuid4().hex, document | {"indexed": iso(now())})])

    return write


@pytest.fixture
def rules_folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yml").write_text(RULES)
    return tmp_path / "rules"


@pytest.fixture
def detector(rules_folder: Path, store_of: StoreOf, tell: AlertmanagerSettings) -> Detector:
    manager = Alertmanager(tell, "https://docs.example.test")
    return Detector(load_rules(rules_folder), store_of("detector"), manager)


def look(detector: Detector) -> list[Alert]:
    """What is new until now; the first time it looks back piece by piece."""
    found = detector.look(now())
    while detector.behind(now()):
        found += detector.look(now())
    return found


def alerts_of(store: LogStore) -> list[Document]:
    return list(hits(store.search(ALERTS, {"size": 100})))


def test_records_are_indexed_with_their_fields(collector: Collector, indexing: Process, store: LogStore) -> None:
    moment = now()
    line = {
        "header": {"type": "LOG", "timestamp": iso(moment), "level": "ERROR", "mission": "S1"},
        "message": {"content": "no space left"},
        "custom": {"product_string": "S1A_X"},
    }
    said = record("container", "catalogue", json.dumps(line), moment + timedelta(seconds=2))
    collector.send("logs-security", failed_login(moment), shell(moment + timedelta(seconds=1)))
    collector.send("logs-processing", said | {"namespace": "processing", "pod": "catalogue-1"})
    login, entered, chain = wait_for(store, 3)
    assert login["message"].startswith("Failed password")
    assert entered["event"]["objectRef"]["subresource"] == "exec"
    assert (chain["message"], chain["severity"]) == ("no space left", "err")
    assert chain["event"]["custom"] == {"product_string": "S1A_X"}
    (written,) = hits(store.search("logs-processing-*", {}))
    assert written["pod"] == "catalogue-1"


def test_a_batch_that_comes_again_changes_nothing(
    collector: Collector, kafka_settings: Settings, store_of: StoreOf, store: LogStore
) -> None:
    lines = [f"line {number}" for number in range(50)]
    collector.send("logs-system", *(record("journal", "systemd", line, now()) for line in lines))
    options = {"group.id": "again", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer(kafka_options(kafka_settings("admin"), "tests") | options)
    consumer.assign([TopicPartition("logs-system", number, OFFSET_BEGINNING) for number in range(topics.PARTITIONS)])
    records = consumer.consume(1000, 5)
    consumer.close()
    for _ in range(2):
        indexer.write(store_of("log-indexer"), records)
    assert sorted(each["message"] for each in wait_for(store, 50)) == sorted(lines)


def test_a_record_that_was_sent_twice_is_kept_once(collector: Collector, indexing: Process, store: LogStore) -> None:
    sent = record("container", "catalogue", "once", now()) | {"place": "449"}
    collector.send("logs-system", sent, sent, sent | {"place": "512"})

    def kept() -> list[Document]:
        return [each for each in wait_for(store, 1) if each["message"] == "once"]

    wait_until(lambda: len(kept()) == 2, seconds=40)
    collector.send("logs-system", sent, record("container", "catalogue", "another", now()))
    wait_until(lambda: "another" in {each["message"] for each in found(store)}, seconds=40)
    assert len(kept()) == 2
    assert not any("place" in each for each in kept())


def test_what_is_no_record_or_does_not_fit_is_kept(collector: Collector, indexing: Process, store: LogStore) -> None:
    strange = {"objectRef": "no object", "responseStatus": [1], "stageTimestamp": iso(now())}
    collector.send("logs-security", record("kubernetes", "kube-apiserver", json.dumps(strange), now()))
    collector.send("logs-system", b'{"half": "\xff')
    kept = {each["source"]: each for each in wait_for(store, 2)}
    assert json.loads(kept["kubernetes"]["message"]) == strange
    assert "event" not in kept["kubernetes"]
    assert kept["unreadable"]["message"].startswith('{"half": "')


def test_nothing_is_lost_while_the_store_is_away(  # noqa: PLR0917  # fixtures
    collector: Collector,
    kafka_settings: Settings,
    store_of: StoreOf,
    store: LogStore,
    new_process: Callable[[str], Process],
    in_thread: InThread,
) -> None:
    running, again = new_process("log-indexer"), new_process("log-indexer")
    settings = kafka_settings("log-indexer")
    with in_thread(partial(indexer.serve, running, settings, NO_LOGS)):
        collector.send("logs-system", record("journal", "systemd", "said meanwhile", now()))
        wait_until(lambda: "log store" in (running.health.unreadiness() or ""), seconds=20)
        running.stop.set()
    with in_thread(partial(indexer.serve, again, settings, store_of("log-indexer"))):
        assert [each["message"] for each in wait_for(store, 1)] == ["said meanwhile"]
        again.stop.set()


def test_old_indices_go(store_of: StoreOf, store: LogStore) -> None:
    kept, today = store_of("log-indexer"), date(2026, 11, 22)
    days = {topic: today - age for topic, age in LOGS.items()}
    for topic, day in days.items():
        for moment in (day, day - timedelta(days=1)):
            kept.keep(index_of(topic, moment), [("x", {"@timestamp": "2026-01-01T00:00:00Z"})])
    assert kept.forget_old(today) == sorted(index_of(topic, day - timedelta(days=1)) for topic, day in days.items())
    assert len(found(store)) == len(LOGS)
    assert kept.forget_old(today) == []


def test_alerts_are_raised_once_and_go_on(
    detector: Detector, put: Callable[..., None], store: LogStore, alertmanager: AlertmanagerServer
) -> None:
    begin = now() - timedelta(seconds=20)
    logins = [failed_login(begin + timedelta(seconds=number)) for number in range(6)]
    put(*logins[:4], shell(begin))
    assert [alert.rule.title for alert in look(detector)] == ["Shell in a container"]
    put(logins[4])
    (alert,) = look(detector)
    assert (alert.rule.title, alert.host, alert.records) == ("Many failed logins", HOST, 5)
    put(logins[5])
    assert look(detector) == []
    kept = {each["title"]: each for each in alerts_of(store)}
    assert kept.keys() == {"Shell in a container", "Many failed logins"}
    assert kept["Many failed logins"]["records"] == 6
    assert kept["Many failed logins"]["level"] == "high"
    assert len(kept["Many failed logins"]["evidence"]) == 5
    assert "192.0.2.7" in kept["Many failed logins"]["evidence"][0]["message"]
    told = {each["labels"]["alertname"]: each for each in alertmanager.alerts()}
    assert told.keys() == kept.keys()
    assert told["Shell in a container"]["labels"]["severity"] == "critical"
    runbook = told["Shell in a container"]["annotations"]["runbook"]
    assert runbook == "https://docs.example.test/docs/runbooks/security/container-shell.md"


def test_alerts_of_wazuh_and_falco_raise_alerts_by_their_gravity(
    put: Callable[..., None], store_of: StoreOf, tell: AlertmanagerSettings, tmp_path: Path
) -> None:
    for name in ("wazuh_alert.yml", "falco_alert.yml"):
        shutil.copy(paths.CHECKOUT / "security" / "rules" / "sigma" / name, tmp_path)
    detector = Detector(load_rules(tmp_path), store_of("detector"), Alertmanager(tell, "https://docs.example.test"))
    moment = now()
    for agent, level in (("w1", 7), ("w2", 10), ("w3", 12)):
        rule = {"level": level, "description": "x", "id": "5712", "groups": ["sshd"]}
        event = {"timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.000+0000}", "rule": rule, "agent": {"name": agent}}
        put(record("wazuh", "wazuh", json.dumps(event), moment))
    for priority in ("Critical", "Notice"):
        fields = {"k8s.pod.name": "kafka-0", "proc.pname": "java", "k8s.ns.name": "infra"}
        said = {"time": iso(moment), "rule": "Shell", "priority": priority, "output": "y", "output_fields": fields}
        put(record("falco", "falco", json.dumps(said), moment))
    raised = {(alert.rule.title, alert.host) for alert in look(detector)}
    assert raised == {("Wazuh alert", "w2"), ("Grave Wazuh alert", "w3"), ("Falco alert", HOST)}


def test_slow_guesses_raise_no_alert(detector: Detector, put: Callable[..., None], store: LogStore) -> None:
    put(*(failed_login(now() - timedelta(seconds=16 * number)) for number in range(8)))
    assert look(detector) == []
    assert alerts_of(store) == []


def test_another_detector_goes_on_and_raises_nothing_twice(  # noqa: PLR0917  # fixtures
    detector: Detector,
    put: Callable[..., None],
    rules_folder: Path,
    store_of: StoreOf,
    store: LogStore,
    alertmanager: AlertmanagerServer,
) -> None:
    put(shell(now()))
    nowhere = Alertmanager(AlertmanagerSettings(url=HttpUrl("http://127.0.0.1:1")))
    killed = Detector(load_rules(rules_folder), store_of("detector"), nowhere)
    with pytest.raises(AlertmanagerDownError, match="did not take"):
        look(killed)
    assert look(detector) == []
    assert len(alerts_of(store)) == 1
    assert len(alertmanager.alerts()) == 1, "what the killed one could not tell is told by the next"
    put(shell(now() + timedelta(minutes=10)))
    assert len(look(detector)) == 1, "after a quiet time it is another alert"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("service: journal", "service: windows"), "the log source of 'Failed login' must be"),
        (("level: low", "level: huge"), "holds a wrong rule"),
        (("rules: [failed_login]", "rules: [other]"), "names 'other', which is no rule"),
        (("level: high\n", ""), "'Many failed logins' needs an id, a level and a runbook"),
        (("condition: {gte: 5}", "condition: {lte: 5}"), "must be an event_count with gte and group-by"),
        ((RULES, "title: x"), "must have a log source"),
        ((RULES, "- just\n- a list"), "holds a wrong rule"),
    ],
)
def test_wrong_rules_are_refused_with_the_reason(rules_folder: Path, change: tuple[str, str], reason: str) -> None:
    (rules_folder / "rules.yml").write_text(RULES.replace(*change))
    with pytest.raises(SettingsError, match=reason) as refused:
        load_rules(rules_folder)
    assert "rules.yml" in str(refused.value)


def test_operators_search_logs_and_alerts(detector: Detector, put: Callable[..., None], store: LogStore) -> None:
    moment = now() - timedelta(seconds=30)
    put(
        record("container", "catalogue", "stored S1A_IW_RAW__0SDV_2.SAFE at last", moment) | {"products": ["S1A_X"]},
        failed_login(moment + timedelta(seconds=1)) | {"severity": "warning"},
        shell(moment + timedelta(seconds=2)),
    )
    look(detector)
    app = FastAPI()
    app.state.log_store = store
    app.include_router(router)
    api = TestClient(app)

    def programs(**query: str) -> list[str]:
        answer = api.get("/operations/v1/logs", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["count"] == len(answer.json()["value"])
        return [each["program"] for each in answer.json()["value"]]

    assert programs() == ["kube-apiserver", "sshd", "catalogue"], "the newest first"
    assert programs(host=HOST, product="S1A_IW_RAW__0SDV_2.SAFE") == ["catalogue"]
    assert programs(product="S1A_IW*2.SAFE") == []
    assert programs(product="S1A_X") == ["catalogue"], "a line that names it beside its message"
    assert programs(text="stored last") == ["catalogue"]
    assert programs(severity="warning") == ["sshd"]
    assert programs(kind="processing") == []
    assert programs(until=iso(moment)) == []
    assert programs(since=iso(moment + timedelta(seconds=2))) == ["kube-apiserver"]
    (alert,) = api.get("/operations/v1/alerts", params={"host": HOST, "level": "high"}).json()["value"]
    assert alert["title"] == "Shell in a container"
    assert api.get(f"/operations/v1/alerts/{alert['id']}").json() == alert
    assert api.get("/operations/v1/alerts", params={"level": "critical", "host": "w2"}).json()["count"] == 0
