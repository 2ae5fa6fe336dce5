"""Figures of consumers' lag, of backups and of ClamAV, from the real Kafka, object store and clamd."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.core import Metric
from tests.means.clamd import clamd
from tests.means.kafka import Kafka
from tests.means.processes import free_port
from tests.services.conftest import wait_until

from refsys.services.common.families import BACKUPS_BUCKET
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import CATALOG_JOB
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import Scanner
from refsys.services.exporters import backups, clamav, kafka_lag
from refsys.services.exporters.figures import Figures, Source

KafkaSettingsOf = Callable[[str], KafkaSettings]


def values(metrics: Iterable[Metric]) -> dict[str, float]:
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_a_groups_lag_is_what_it_has_not_handled(kafka_settings: KafkaSettingsOf) -> None:
    admin = AdminClient(kafka_options(kafka_settings("kafka-lag"), "kafka-lag"))
    producer = Producer(kafka_options(kafka_settings("admin"), "tests"))
    consumer = Consumer(
        kafka_options(kafka_settings("catalogue"), "catalogue") | {"group.id": "catalogue", "enable.auto.commit": False}
    )
    for number in range(7):
        producer.produce(CATALOG_JOB, value=b"{}", key=str(number).encode(), partition=0)
    assert producer.flush(30) == 0
    end = consumer.get_watermark_offsets(TopicPartition(CATALOG_JOB, 0), timeout=30)[1]
    consumer.commit(offsets=[TopicPartition(CATALOG_JOB, 0, end - 5)], asynchronous=False)
    consumer.close()
    found = values(kafka_lag.read(admin))
    assert found[f"kafka_consumergroup_lag/catalogue/{CATALOG_JOB}/0"] == 5
    assert f"kafka_consumergroup_lag/catalogue/{CATALOG_JOB}/1" not in found
    assert found[f"kafka_topic_partition_current_offset/{CATALOG_JOB}/0"] == end
    assert found["kafka_consumergroup_members/catalogue"] == 0


def test_a_kafka_that_was_away_has_no_figures_until_it_is_back(
    kafka_server: Kafka, kafka_settings: KafkaSettingsOf
) -> None:
    options = kafka_options(kafka_settings("catalogue"), "catalogue")
    consumer = Consumer(options | {"group.id": "catalogue", "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(CATALOG_JOB, 0, 0)], asynchronous=False)
    consumer.close()
    asked = kafka_lag.Asked(kafka_options(kafka_settings("kafka-lag"), "kafka-lag"))
    lag = f"kafka_consumergroup_lag/catalogue/{CATALOG_JOB}/0"
    assert lag in values(asked.read())
    kafka_server.server.kill()
    try:
        with pytest.raises(KafkaException):
            asked.read()
    finally:
        kafka_server.server.start()
    figures = Figures(Source("kafka", 1, asked.read))

    def answers() -> bool:
        figures.ask()
        return lag in values(figures.collect())

    wait_until(answers, 60)


def test_who_asks_for_the_lag_may_read_and_write_nothing(kafka_settings: KafkaSettingsOf) -> None:
    options = kafka_options(kafka_settings("kafka-lag"), "tests")
    refused: list[str] = []
    producer = Producer(options)
    producer.produce(
        CATALOG_JOB, value=b"{}", on_delivery=lambda error, _: refused.append(error.name() if error else "")
    )
    producer.flush(30)
    assert refused == ["TOPIC_AUTHORIZATION_FAILED"]
    consumer = Consumer(options | {"group.id": "kafka-lag"})
    consumer.assign([TopicPartition(CATALOG_JOB, 0, 0)])
    message = consumer.poll(30)
    assert message is not None
    error = message.error()
    assert error is not None and error.name() == "TOPIC_AUTHORIZATION_FAILED"
    consumer.close()


def test_a_source_that_does_not_answer_tells_nothing_old(
    kafka_settings: KafkaSettingsOf,
    new_process: Callable[[str], Process],
    in_thread: Callable[..., object],
) -> None:
    running = new_process("kafka-lag")
    answers = True

    def read() -> list[Metric]:
        if not answers:
            raise ConnectionError("gone")
        return kafka_lag.read(AdminClient(kafka_options(kafka_settings("kafka-lag"), "kafka-lag")))

    figures = Figures(Source("kafka", 0.2, read))
    assert values(figures.collect()) == {"refsys_exporter_up/kafka": 0}
    with in_thread(lambda: figures.keep(running)):  # type: ignore[attr-defined]
        wait_until(lambda: values(figures.collect())["refsys_exporter_up/kafka"] == 1, what="an answer")
        assert running.health.unreadiness() is None
        answers = False
        wait_until(lambda: values(figures.collect()) == {"refsys_exporter_up/kafka": 0}, what="silence")
        running.stop.set()


def test_the_newest_copy_of_each_backup_counts(store: ObjectStore) -> None:
    assert values(backups.read(store, since=7.0)) == {"refsys_backup_timestamp_seconds/openbao": 7}
    for key, content in (("openbao/1.snap", b"old"), ("openbao/2.snap", b"newer"), ("other/1", b"x"), ("stray", b"x")):
        store.put(BACKUPS_BUCKET, key, [content], len(content))
    made = {each.key: each.modified.timestamp() for each in store.list(BACKUPS_BUCKET)}
    found = values(backups.read(store, since=7.0))
    assert found["refsys_backup_timestamp_seconds/openbao"] == max(made["openbao/1.snap"], made["openbao/2.snap"])
    assert found["refsys_backup_timestamp_seconds/other"] == made["other/1"]
    assert set(found) == {
        f"refsys_backup_{what}/{name}" for what in ("timestamp_seconds", "bytes") for name in ("openbao", "other")
    }


@pytest.mark.timeout(120)
def test_clamd_is_asked_for_its_version_and_its_queue(tmp_path: Path) -> None:
    port = free_port()
    scanner = Scanner("127.0.0.1", port)
    assert values(clamav.read(scanner)) == {"clamav_up": 0}
    with clamd(tmp_path, port):
        found = values(clamav.read(scanner))
    assert found.pop("clamav_up") == 1
    assert found.pop("clamav_queue_length") == 0
    # Without a mirror there is only a signature of our own.
    (version,) = found
    assert version.startswith("clamav_info/")
