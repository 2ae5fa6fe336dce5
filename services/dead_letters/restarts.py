"""Sending failed messages again: each exactly once, whenever this process is killed.

Rows of a batch get its number and the state SENDING. One Kafka transaction then holds the messages and, as the
committed offset of a consumer group that consumes nothing, the number of the batch. Batches follow each other, so
that after a kill the batch of the committed number was sent and any other that is still SENDING was not; a
transaction that was left open is aborted by the broker when the next process takes over its transactional id.
"""

import logging
import threading
from collections.abc import Sequence

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition
from prometheus_client import Counter
from sqlalchemy import Connection, Engine, Row, func, select, update
from sqlalchemy.exc import InterfaceError, OperationalError

from refsys.services.common import logs
from refsys.services.common.bus import DELIVERY_SECONDS
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import ERROR_WARNING
from refsys.services.common.settings import KafkaSettings
from refsys.services.dead_letters.tables import RESTARTED, RESTARTING, SENDING, failed_processing, restart_batch

GROUP = "dlq-restarts"  # also the transactional id
PERIOD_SECONDS = 1.0
BATCH = 100

RESTARTS = Counter("refsys_dead_letter_restarts_total", "Failed messages sent again, by topic", ["topic"])

log = logs.get_logger()


class Restarter:
    """Sends what is due; only one in an environment, the newest takes over."""

    def __init__(self, settings: KafkaSettings, engine: Engine) -> None:
        """Nothing is sent before `recover`."""
        options = kafka_options(settings, "dlq")
        transactional = {
            "transactional.id": GROUP,
            "compression.type": "lz4",
            "transaction.timeout.ms": int(DELIVERY_SECONDS * 1000),
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
        }
        logger = logging.getLogger("kafka")
        self._producer = confluent_kafka.Producer(options | transactional, logger=logger)
        group = {"group.id": GROUP, "enable.auto.commit": False}
        self._group = confluent_kafka.Consumer(options | group, logger=logger)
        self._engine = engine
        self._last = 0

    def close(self) -> None:
        """Leave; what is not sent stays due."""
        self._group.close()

    def recover(self) -> None:
        """Take over from the process before: find out which of its batches were sent."""
        self._producer.init_transactions(DELIVERY_SECONDS)
        (committed,) = self._group.committed([TopicPartition(ERROR_WARNING, 0)], timeout=DELIVERY_SECONDS)
        with self._engine.begin() as connection:
            sending = update(failed_processing).where(failed_processing.c.state == SENDING)
            sent = sending.where(failed_processing.c.batch == committed.offset)
            connection.execute(sent.values(state=RESTARTED, updated=func.now()))
            unsent = connection.execute(sending.values(state=RESTARTING, batch=None)).rowcount
        self._last = max(committed.offset, 0)
        log.info("restarts taken over", last_batch=self._last, unsent=unsent)

    def send_due(self) -> int:
        """Send one batch of what is due; returns how many messages."""
        with self._engine.begin() as connection:
            number = self._number(connection)
            due = (
                select(failed_processing.c.id)
                .where(failed_processing.c.state == RESTARTING, failed_processing.c.due <= func.now())
                .order_by(failed_processing.c.due)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            rows = connection.execute(
                update(failed_processing)
                .where(failed_processing.c.id.in_(due))
                .values(state=SENDING, batch=number)
                .returning(failed_processing.c.target_topic, failed_processing.c.key, failed_processing.c.outgoing)
            ).all()
        if not rows:
            return 0
        self._send(number, rows)
        with self._engine.begin() as connection:
            sent = update(failed_processing).where(
                failed_processing.c.state == SENDING, failed_processing.c.batch == number
            )
            connection.execute(sent.values(state=RESTARTED, updated=func.now()))
        return len(rows)

    def _number(self, connection: Connection) -> int:
        """A number never used before, also after the database was restored from a backup."""
        number: int = connection.execute(select(restart_batch.next_value())).scalar_one()
        if number <= self._last:
            missing = func.generate_series(1, self._last - number + 1).table_valued("each")
            further = select(restart_batch.next_value()).select_from(missing)
            number = max(connection.execute(further).scalars())
        return number

    def _send(self, number: int, rows: Sequence[Row[tuple[str, str, str]]]) -> None:
        self._producer.begin_transaction()
        for row in rows:
            self._producer.produce(row.target_topic, value=row.outgoing.encode(), key=row.key.encode())
        mark = TopicPartition(ERROR_WARNING, 0, number)
        self._producer.send_offsets_to_transaction([mark], self._group.consumer_group_metadata(), DELIVERY_SECONDS)
        self._producer.commit_transaction(DELIVERY_SECONDS)
        for row in rows:
            RESTARTS.labels(row.target_topic).inc()


def serve(settings: KafkaSettings, engine: Engine, stop: threading.Event) -> None:
    """Send what is due until asked to stop; after a failure start anew, as after a kill."""
    while not stop.is_set():
        restarter = Restarter(settings, engine)
        try:
            restarter.recover()
            while not stop.wait(PERIOD_SECONDS):
                while restarter.send_due() and not stop.is_set():
                    pass
        except (KafkaException, OperationalError, InterfaceError) as error:
            log.error("restarts wait", reason=f"{type(error).__name__}: {error}")
            stop.wait(5)
        finally:
            restarter.close()
