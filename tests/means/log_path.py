"""The way of the logs as an environment has it: a node's rsyslog, Kafka, the indexer, OpenSearch behind its sidecar."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from refsys.infra import paths
from refsys.services.common.kafka import kafka_options
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.topics import PARTITIONS
from refsys.services.logs.templates import LOGS
from tests.means.certificates import Authority
from tests.means.chain import is_ready, kafka_variables
from tests.means.kafka import Kafka, kafka
from tests.means.opensearch import LogStore, log_store
from tests.means.processes import Server, free_port

INDEXER = "log-indexer"
HEAP = "-Xms512m -Xmx512m"  # as in an environment
PLACES = [TopicPartition(topic, number) for topic in LOGS for number in range(PARTITIONS)]


@dataclass
class LogPath:
    """Running servers; the collector and the indexer are started where they are wanted."""

    folder: Path
    authority: Authority
    kafka: Kafka
    store: LogStore

    def settings(self, process: str) -> KafkaSettings:
        """How a process reaches Kafka."""
        shown = self.kafka.certificate(process)
        return KafkaSettings(
            bootstrap=self.kafka.bootstrap,
            ca_file=self.authority.ca_file,
            certificate_file=shown.certificate_file,
            key_file=shown.key_file,
        )

    @contextmanager
    def indexer(self) -> Iterator[Server]:
        """Run the indexer until the context ends."""
        port, shown = free_port(), self.authority.issue(INDEXER)
        environment = {
            **_environment(),
            **kafka_variables(self.kafka, INDEXER),
            "REFSYS_OPERATIONS_PORT": str(port),
            "REFSYS_LOG_STORE_URL": self.store.url,
            "REFSYS_LOG_STORE_CA_FILE": str(self.authority.ca_file),
            "REFSYS_LOG_STORE_CERTIFICATE_FILE": str(shown.certificate_file),
            "REFSYS_LOG_STORE_KEY_FILE": str(shown.key_file),
        }
        command = [sys.executable, "-m", "refsys.services", INDEXER]
        server = Server(command, self.folder / "indexer.log", lambda: is_ready(port), 120, environment)
        server.launch()
        try:
            yield server
        finally:
            server.stop()

    def written(self) -> int:
        """How many records Kafka has got."""
        consumer = Consumer(kafka_options(self.settings("admin"), "tests") | {"group.id": "tests"})
        try:
            return sum(consumer.get_watermark_offsets(place, timeout=30)[1] for place in PLACES)
        finally:
            consumer.close()

    def indexed(self) -> int:
        """How many records the indexer has done with."""
        admin = AdminClient(kafka_options(self.settings("admin"), "tests"))
        asked = ConsumerGroupTopicPartitions(INDEXER, PLACES)
        (future,) = admin.list_consumer_group_offsets([asked]).values()
        return sum(max(place.offset, 0) for place in future.result(30).topic_partitions)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(paths.CHECKOUT / "src")}


@contextmanager
def log_path(folder: Path) -> Iterator[LogPath]:
    """Run Kafka with its topics, and the log store, until the context ends."""
    authority = Authority(folder / "certificates")
    with ExitStack() as stack:
        broker = stack.enter_context(kafka(folder / "kafka", authority))
        store = stack.enter_context(log_store(folder / "log-store", authority, heap=HEAP))
        topics = Server(
            [sys.executable, "-m", "refsys.services", "topics"],
            folder / "topics.log",
            lambda: True,
            1,
            _environment() | kafka_variables(broker, "admin"),
        )
        topics.launch()
        if topics.process.wait(300):
            raise RuntimeError(f"topics failed: {topics.log.read_text()[-3000:]}")
        yield LogPath(folder, authority, broker, store)
