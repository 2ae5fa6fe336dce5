"""Dead letters on real PostgreSQL and Kafka: rules, exactly one restart a failure, the operators' REST."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer as KafkaProducer
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, insert, select, update
from tests.means.chain import kafka_variables
from tests.means.issuer import bearer
from tests.means.kafka import Kafka
from tests.services.conftest import CHECKOUT, Bus, wait_until
from tests.services.kept import API_KEY, name_of, operations_api
from tests.services.published import EPOCH, event

from refsys.services.common.bus import Consumer, Producer, RejectedError
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import (
    CATALOG_EVENT,
    CATALOG_JOB,
    ERROR_WARNING,
    CatalogEvent,
    CatalogJob,
    FailedProcessing,
)
from refsys.services.common.process import Process
from refsys.services.common.settings import DatabaseSettings, DeadLetterSettings, KafkaSettings, load
from refsys.services.dead_letters.intake import forget_old, take
from refsys.services.dead_letters.restarts import Restarter
from refsys.services.dead_letters.rules import Rule, load_rules
from refsys.services.dead_letters.service import serve
from refsys.services.dead_letters.tables import (
    PARKED,
    RESTARTED,
    RESTARTING,
    SENDING,
    failed_processing,
)
from refsys.services.ingestion.tables import QUARANTINED, RETRY, InboxEntry

Settings = Callable[[str], KafkaSettings]
InThread = Callable[[Callable[[], None]], AbstractContextManager[None]]
ROOT = "/api/v1/failedProcessings"
NAME = name_of(1)


def rule(title: str, pattern: str, action: str, **changes: Any) -> Rule:
    return Rule.model_validate({"errorTitle": title, "errorID": pattern, "actionType": action} | changes)


RULES = [
    rule("again", "restart me", "Restart", maxRetry=2),
    rule("away", "drop me", "Drop"),
    rule("stay", "restart me, no", "NoAction", priority=1),
]


def failure(message: str, reason: str = "restart me", topic: str = CATALOG_EVENT, **changes: Any) -> FailedProcessing:
    values: dict[str, Any] = {
        "topic": topic,
        "partition": 0,
        "offset": next(_offsets),
        "key": NAME,
        "mission_id": "S1",
        "failure_message": reason,
        "message": message,
    }
    return FailedProcessing(**(values | changes))


_offsets = iter(range(10**9))


def text_of(given: CatalogEvent) -> str:
    return given.model_dump_json(by_alias=True)


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(failed_processing).order_by(failed_processing.c.failure_date)).mappings())


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    with operations_api(engine, tmp_path) as client:
        client.headers["ApiKey"] = API_KEY
        yield client


@pytest.fixture
def restarter(kafka_settings: Settings, engine: Engine) -> Iterator[Restarter]:
    restarter = Restarter(kafka_settings("dlq"), engine)
    restarter.recover()
    yield restarter
    restarter.close()


def test_rules_decide_and_duplicates_count_on_one_row(engine: Engine) -> None:
    parked = failure(text_of(event(NAME)), "nobody knows this")
    for each in (parked, parked, failure(parked.message, "nobody knows this")):
        take(engine, RULES, each)
    (row,) = rows(engine)
    assert (row["state"], row["occurrences"], row["rule"]) == (PARKED, 2, "")
    take(engine, RULES, failure(text_of(event(NAME)), "drop me"))
    assert len(rows(engine)) == 1
    take(engine, RULES, failure(text_of(event(NAME)), "restart me, no"))
    assert [(row["state"], row["rule"]) for row in rows(engine)] == [(PARKED, ""), (PARKED, "stay")]


def test_restarts_end_in_the_parking_lot(engine: Engine, restarter: Restarter, bus: Bus) -> None:
    message = text_of(event(NAME))
    for retry in range(3):
        take(engine, RULES, failure(message, retry_counter=retry), 0)
        (row,) = rows(engine)
        assert row["occurrences"] == retry + 1
        assert row["state"] == (RESTARTING if retry < 2 else PARKED)
        if retry < 2:
            assert restarter.send_due() == 1
            message = bus.read(CATALOG_EVENT, retry + 1)[-1] if retry == 0 else row["outgoing"]
            assert json.loads(message)["retryCounter"] == retry + 1
    assert restarter.send_due() == 0
    sent = [json.loads(text) for text in bus.read(CATALOG_EVENT, 2)]
    assert sorted(each["retryCounter"] for each in sent) == [1, 2]
    assert {each["uid"] for each in sent} == {rows(engine)[0]["uid"]}


def test_the_failure_of_a_restart_is_not_lost_while_its_row_says_sending(engine: Engine) -> None:
    message = text_of(event(NAME))
    take(engine, RULES, failure(message), 0)
    with engine.begin() as connection:
        connection.execute(update(failed_processing).values(state=SENDING, batch=1))
    take(engine, RULES, failure(message))  # a copy of the first message: counted
    assert (rows(engine)[0]["state"], rows(engine)[0]["occurrences"]) == (SENDING, 2)
    take(engine, RULES, failure(message, retry_counter=1), 0)
    assert (rows(engine)[0]["state"], rows(engine)[0]["retry_counter"]) == (RESTARTING, 1)


def test_a_dead_letter_that_fails_itself_and_odd_text_are_parked(engine: Engine) -> None:
    always = [rule("all", ".", "Restart", maxRetry=9)]
    take(engine, always, failure("{oops\0", "x\0y", topic=ERROR_WARNING, key="k\0"))
    (row,) = rows(engine)
    assert (row["state"], row["failure_message"]) == (PARKED, "x\ufffdy")
    take(engine, always, failure("{oops", "x"), 0)
    assert rows(engine)[1]["outgoing"] == "{oops"


def test_age_takes_what_nobody_wants_but_not_what_is_on_its_way(engine: Engine) -> None:
    take(engine, RULES, failure(text_of(event(NAME)), "parked"))
    take(engine, RULES, failure(text_of(event(NAME)), "restart me"))
    assert forget_old(engine, timedelta(days=1)) == 0
    with engine.begin() as connection:
        connection.execute(update(failed_processing).values(updated=func.now() - timedelta(days=2)))
    assert forget_old(engine, timedelta(days=1)) == 1
    assert [row["state"] for row in rows(engine)] == [RESTARTING]


class KilledError(BaseException):
    """The process is gone here."""


@pytest.mark.parametrize("sent", [False, True])
def test_killed_around_the_sending_each_restart_is_sent_once(
    engine: Engine, kafka_settings: Settings, bus: Bus, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    for number in range(5):
        take(engine, RULES, failure(text_of(event(name_of(number))), key=name_of(number)), 0)
    first = Restarter(kafka_settings("dlq"), engine)
    first.recover()
    real = first._send

    def killed(*arguments: Any) -> None:
        if sent:
            real(*arguments)
        raise KilledError

    monkeypatch.setattr(first, "_send", killed)
    with pytest.raises(KilledError):
        first.send_due()
    assert {row["state"] for row in rows(engine)} == {SENDING}
    second = Restarter(kafka_settings("dlq"), engine)
    second.recover()
    assert second.send_due() == (0 if sent else 5)
    assert {row["state"] for row in rows(engine)} == {RESTARTED}
    names = [json.loads(text)["keyObjectStorage"] for text in bus.read(CATALOG_EVENT, 5)]
    assert sorted(names) == [name_of(number) for number in range(5)]
    first.close()
    second.close()


def test_an_open_transaction_of_a_dead_process_is_never_seen(
    engine: Engine, kafka_settings: Settings, bus: Bus
) -> None:
    take(engine, RULES, failure(text_of(event(NAME))), 0)
    first = Restarter(kafka_settings("dlq"), engine)
    first.recover()
    with engine.begin() as connection:
        connection.execute(update(failed_processing).values(state=SENDING, batch=10**9))
    first._producer.begin_transaction()
    first._producer.produce(CATALOG_EVENT, value=b'{"lost": true}')
    first._producer.flush(10)
    second = Restarter(kafka_settings("dlq"), engine)
    second.recover()
    assert second.send_due() == 1
    (text,) = bus.read(CATALOG_EVENT, 1)
    assert "lost" not in json.loads(text)
    first.close()
    second.close()


def test_through_kafka_a_failing_consumer_is_given_its_message_again(
    engine: Engine,
    kafka_settings: Settings,
    bus: Bus,
    new_process: Callable[[str], Process],
    in_thread: InThread,
) -> None:
    """A publisher that fails twice for each product: each arrives once in the end, none more often."""
    tries: Counter[str] = Counter()
    arrived: list[str] = []
    lock = threading.Lock()

    def handle(given: CatalogEvent) -> None:
        with lock:
            tries[given.key_object_storage] += 1
            if tries[given.key_object_storage] <= 2:
                raise RejectedError("restart me")
            arrived.append(given.key_object_storage)

    names = [name_of(number) for number in range(30)]
    catalogue = Producer(kafka_settings("catalogue"), "catalogue")
    for name in names:
        catalogue.send(CATALOG_EVENT, event(name), name)
    catalogue.flush()
    publishing, handling = new_process("publisher"), new_process("dlq")
    settings = kafka_settings
    consumer = Consumer(
        settings("publisher"), publishing, Producer(settings("publisher"), "publisher"),
        topic=CATALOG_EVENT, model=CatalogEvent, handle=handle,
    )  # fmt: skip
    keep = timedelta(days=1)
    with (
        in_thread(consumer.run),
        in_thread(lambda: serve(handling, settings("dlq"), engine, RULES, keep=keep, delay_base=0.1)),
    ):
        wait_until(lambda: len(arrived) >= len(names), 90, "all arrived")
        publishing.stop.wait(2)
        publishing.stop.set()
        handling.stop.set()
    assert sorted(arrived) == names
    assert set(tries.values()) == {3}
    assert {(row["occurrences"], row["state"], row["mission_id"]) for row in rows(engine)} == {(2, RESTARTED, "S1")}


def test_the_process_killed_while_it_restarts(  # noqa: PLR0917  # fixtures
    engine: Engine,
    database: DatabaseSettings,
    kafka_settings: Settings,
    kafka_server: Kafka,
    bus: Bus,
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(json.dumps([json.loads(RULES[0].model_dump_json(by_alias=True))]))
    producer = Producer(kafka_settings("publisher"), "publisher")
    names = [name_of(number) for number in range(300)]
    for name in names:
        producer.send(ERROR_WARNING, failure(text_of(event(name)), key=name), name)
    producer.flush()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_OPERATIONS_PORT": "0",
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_DLQ_RULES_FILE": str(rules),
        **kafka_variables(kafka_server, "dlq"),
    }
    log = (tmp_path / "dlq.log").open("ab")

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "refsys.services", "dlq"]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def number(*states: str) -> int:
        statement = select(func.count()).select_from(failed_processing).where(failed_processing.c.state.in_(states))
        with engine.connect() as connection:
            return connection.execute(statement).scalar_one()

    running = start()
    try:
        for reached in (lambda: len(rows(engine)) > 20, lambda: number(RESTARTED, SENDING) > 0):
            wait_until(reached, 60, "some taken or sent")
            running.send_signal(signal.SIGKILL)
            running.wait(30)
            running = start()
        wait_until(lambda: number(RESTARTED) == len(names), 90, "all sent")
        running.terminate()
        assert running.wait(60) == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        log.close()
    sent = [json.loads(text) for text in bus.read(CATALOG_EVENT, len(names))]
    assert sorted(each["keyObjectStorage"] for each in sent) == names
    assert {each["retryCounter"] for each in sent} == {1}


def test_the_parking_lot_can_be_read_and_filtered(engine: Engine, api: TestClient) -> None:
    for number in range(3):
        given = failure(
            text_of(event(name_of(number))), f"reason {number}", key=name_of(number), failure_date=EPOCH,
            stacktrace="trace",
        )  # fmt: skip
        take(engine, RULES, given)
    take(engine, RULES, failure("{oops", "unreadable", topic=CATALOG_JOB, mission_id="S2", error_level="WARNING"))
    page = api.get(ROOT, params={"size": 2}).json()
    assert len(page) == 2
    assert page[0]["message"] == "{oops"
    assert {
        "id", "topic", "missionId", "errorLevel", "failureDate", "failureMessage", "stacktrace", "message",
        "retryCounter",
    } <= page[1].keys()  # fmt: skip
    assert page[1]["message"]["productId"]
    assert page[1]["failureDate"] == "2024-01-01T00:00:00.000000Z"
    for options, expected in (
        ({}, 4),
        ({"mission": "S2"}, 1),
        ({"topic": CATALOG_EVENT}, 3),
        ({"level": "WARNING"}, 1),
        ({"until": "2024-01-02"}, 3),
        ({"since": "2024-01-02T00:00:00Z"}, 1),
        ({"text": "REASON 2"}, 1),
        ({"text": name_of(2).lower()}, 1),
        ({"text": "%"}, 0),
    ):
        assert api.get(f"{ROOT}/count", params=options).json() == expected, options
    one = api.get(f"{ROOT}/{page[0]['id']}")
    assert one.json()["errorLevel"] == "WARNING"
    assert api.delete(f"{ROOT}/{page[0]['id']}").status_code == 204
    assert api.get(f"{ROOT}/{page[0]['id']}").status_code == 404
    assert api.delete(f"{ROOT}/{page[0]['id']}").status_code == 404
    assert api.get(f"{ROOT}/count").json() == 3


def test_the_key_and_the_role_are_both_needed(api: TestClient) -> None:
    assert api.get(ROOT).status_code == 200
    assert api.get(ROOT, headers={"ApiKey": "wrong"}).status_code == 403
    del api.headers["ApiKey"]
    assert api.get(ROOT).status_code == 403
    assert api.get(ROOT, headers={"ApiKey": API_KEY, "Authorization": ""}).status_code == 401
    reader = {"ApiKey": API_KEY} | bearer()
    assert api.get(ROOT, headers=reader).status_code == 403


def test_operators_restart_and_resubmit(engine: Engine, api: TestClient, restarter: Restarter, bus: Bus) -> None:
    given = event(NAME)
    parked = failure(text_of(given), "nobody knows")
    take(engine, RULES, parked)
    assert api.post(f"{ROOT}/{parked.id}/restart").status_code == 200
    assert api.post(f"{ROOT}/{parked.id}/restart").status_code == 404  # once
    assert api.get(f"{ROOT}/count").json() == 0
    restarter.send_due()
    (text,) = bus.read(CATALOG_EVENT, 1)
    assert CatalogEvent.model_validate_json(text) == given.model_copy(update={"retry_counter": 1})
    take(engine, RULES, failure(text, "nobody knows", retry_counter=1))
    assert api.get(f"{ROOT}/{parked.id}").json()["occurrences"] == 2
    assert api.post(f"{ROOT}/{parked.id}/resubmit").status_code == 200
    restarter.send_due()
    (text,) = bus.read(CATALOG_JOB, 1)
    job = CatalogJob.model_validate_json(text)
    assert (job.key_object_storage, job.retry_counter, job.checksums) == (NAME, 0, given.checksums)
    assert "productId" not in json.loads(text)
    assert rows(engine)[0]["operator_name"] == "olga"


def test_a_failed_cataloguing_is_resubmitted_by_ingesting_its_file_again(engine: Engine, api: TestClient) -> None:
    job = CatalogJob.model_validate(event(NAME).model_dump())
    parked = failure(job.model_dump_json(by_alias=True), "nobody knows", topic=CATALOG_JOB)
    take(engine, RULES, parked)
    refused = api.post(f"{ROOT}/{parked.id}/resubmit")
    assert refused.status_code == 409
    assert "no file" in refused.json()["error"]["message"]
    with engine.begin() as connection:
        connection.execute(
            insert(InboxEntry).values(
                station="ADGS", product_id="1", name=NAME, size=1, checksums=[], publication_date=EPOCH,
                family="AUXILIARY_FILE", mission="S1", state=QUARANTINED, seen=EPOCH, station_code="ADGS",
            )
        )  # fmt: skip
    assert api.post(f"{ROOT}/{parked.id}/resubmit").status_code == 200
    with engine.connect() as connection:
        assert connection.execute(select(InboxEntry.state)).scalar_one() == RETRY
    assert api.get(f"{ROOT}/count").json() == 0


def test_batches_say_of_each_what_became_of_it(engine: Engine, api: TestClient) -> None:
    only_restart = json.loads(text_of(event(NAME))) | {"allowedActions": ["RESTART"]}
    letters = [failure(text_of(event(name_of(1))), "x"), failure(json.dumps(only_restart), "x")]
    for each in letters:
        take(engine, RULES, each)
    ids = [str(each.id) for each in letters] + [str(uuid4())]
    results = api.post(f"{ROOT}/resubmit", json={"ids": ids}).json()["results"]
    assert [result["done"] for result in results] == [True, False, False]
    assert "allowedActions" in results[1]["reason"]
    assert [each["done"] for each in api.post(f"{ROOT}/restart", json={"ids": ids}).json()["results"]] == [
        False, True, False,
    ]  # fmt: skip
    assert api.post(f"{ROOT}/delete", json={"ids": []}).status_code == 400
    assert api.post(f"{ROOT}/explode", json={"ids": ids}).status_code == 400


def test_the_rules_of_the_distribution_send_nothing_to_unknown_topics() -> None:
    assert load_rules(load(DeadLetterSettings).rules_file)


def test_only_the_dlq_may_send_to_every_topic(kafka_settings: Settings, bus: Bus) -> None:
    errors: list[Any] = []
    for process in ("publisher", "dlq"):
        producer = KafkaProducer(kafka_options(kafka_settings(process), process))
        producer.produce(CATALOG_JOB, b"{}", on_delivery=lambda error, _: errors.append(error))
        producer.flush(20)
    assert errors[0] is not None
    assert errors[1] is None
