"""Batches of records from Kafka: taken, kept by a store, and committed once they are.

Records come at least once: what keeps them must not mind those that come again. While the store is away nothing more is
taken; an absence longer than Kafka waits for a member costs the membership, and the batch comes again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaException, Message

from refsys.services.common import logs
from refsys.services.common.kafka import kafka_options
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings

GATHER_SECONDS = 1.0
RETRY_SECONDS = 3.0

log = logs.get_logger()


@dataclass(frozen=True)
class Batches:
    """What a process takes: the topics, how many records at once, and the errors of a store that is waited for."""

    name: str
    """Of the process, and of its consumer group."""
    topics: Sequence[str]
    size: int
    unavailable: tuple[type[Exception], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the consumer besides."""

    def serve(self, running: Process, kafka: KafkaSettings, keep: Callable[[Sequence[Message]], None]) -> None:
        """Give batches to `keep` until `running` is asked to stop.

        Raises:
            KafkaException: Kafka will not have this consumer.
        """
        consumer = confluent_kafka.Consumer(
            kafka_options(kafka, self.name)
            | {
                "group.id": self.name,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
            }
            | dict(self.options),
            logger=logging.getLogger("kafka"),
        )
        consumer.subscribe(list(self.topics))
        try:
            while not running.stop.is_set():
                records = _records(consumer.consume(self.size, GATHER_SECONDS))
                if not records:
                    running.health.ready()
                elif self.until_done(running, partial(keep, records)):
                    _commit(consumer)
        finally:
            consumer.close()

    def until_done(self, running: Process, act: Callable[[], None]) -> bool:
        """Act until the store is there; False if the process is asked to stop first."""
        while not running.stop.is_set():
            try:
                act()
            except self.unavailable as error:
                running.health.not_ready(str(error))
                log.warning("a store is waited for", reason=str(error)[:300], retry_seconds=RETRY_SECONDS)
                running.stop.wait(RETRY_SECONDS)
            else:
                running.health.ready()
                return True
        return False


def _records(messages: Sequence[Message]) -> list[Message]:
    records = []
    for message in messages:
        if (error := message.error()) is None:
            records.append(message)
            continue
        log.warning("Kafka reports an error", error=error.str())
        if error.fatal():
            raise KafkaException(error)
    return records


def _commit(consumer: confluent_kafka.Consumer) -> None:
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        log.warning("commit refused, records will be taken again", error=str(error))
