"""Kafka: a producer that knows what was delivered, and a consumer that commits after the effect.

At-least-once: an offset is committed when the effects of its message are durable and all messages sent
meanwhile are delivered. Handlers are therefore idempotent.
"""

import json
import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_not_exception_type,
    sleep_using_event,
    wait_exponential_jitter,
)

from refsys.services.common import tracing
from refsys.services.common.kafka import kafka_options
from refsys.services.common.logs import get_logger
from refsys.services.common.messages import ERROR_WARNING, FailedProcessing, Message, Model, product_trace
from refsys.services.common.pod import pod_name
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import StoreUnavailableError
from refsys.services.common.virus_scan import ScannerError

log = get_logger()
M = TypeVar("M", bound=Model)

ATTEMPTS = 5
BATCH = 100
POLL_SECONDS = 1.0
GATHER_SECONDS = 0.05  # for more messages after the first of a batch
QUICK_SECONDS = 2.0  # most batches are done within
DELIVERY_SECONDS = 60.0

HANDLED = Counter("refsys_messages_total", "Messages handled, by topic and outcome", ["topic", "outcome"])
SECONDS = Histogram("refsys_message_seconds", "Seconds to handle one message", ["topic"])


class DeliveryError(Exception):
    """A message did not reach Kafka."""


class RejectedError(Exception):
    """A message that no retry will help; it goes to `error-warning` at once, with this reason."""


# What is down comes back: these are retried until the process is asked to stop.
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError, StoreUnavailableError, ScannerError, DeliveryError)


class Producer:
    """Sends messages; `flush` returns when all that was sent is delivered. Threads may share it."""

    def __init__(self, settings: KafkaSettings, process: str) -> None:
        """Idempotent, acknowledged by all in-sync replicas."""
        options = kafka_options(settings, process) | {
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
        }
        self._producer = confluent_kafka.Producer(options, logger=logging.getLogger("kafka"))
        self._failures: list[str] = []

    def send(self, topic: str, message: Model, key: str, headers: Mapping[str, str] | None = None) -> None:
        """Hand a message over for delivery; it is durable after `flush`."""
        value = message.model_dump_json(by_alias=True).encode()
        given: dict[str, str | bytes | None] = {**(headers or {}), **tracing.headers()}
        tracing.sent(topic)
        while True:
            try:
                self._producer.produce(topic, value=value, key=key.encode(), headers=given, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:  # the local queue is full: let it drain
                self._producer.poll(0.5)

    def flush(self) -> None:
        """Wait until everything is delivered; raises `DeliveryError` if anything was not."""
        left = self._producer.flush(DELIVERY_SECONDS + 5)
        failures, self._failures = self._failures, []
        if failures or left:
            reason = failures[0] if failures else "no answer in time"
            count = len(failures) + left
            raise DeliveryError(f"Kafka did not take {count} messages: {reason}; check brokers and ACLs")

    def _delivered(self, error: KafkaError | None, message: confluent_kafka.Message) -> None:
        if error is not None:
            self._failures.append(f"topic {message.topic()}: {error.str()}")


class Consumer(Generic[M]):
    """A consumer loop: poll a batch, handle it, flush what was sent, commit.

    While a batch takes long, the partitions are paused and polling goes on, so that a large download does
    not cost the membership of the group. Messages with the same key are handled one after the other.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        process: Process,
        producer: Producer,
        *,
        topic: str,
        model: type[M],
        handle: Callable[[M], None],
        workers: int = 1,
        batch: int = BATCH,
        group: str | None = None,
        takes: Callable[[Mapping[str, str]], bool] = lambda headers: True,
        buffer_kibibytes: int = 16_384,
    ) -> None:
        """`handle` is called from `workers` threads; it sends with the same `producer`.

        `group` is the consumer group, the process's name unless given: a process with several consumers gives each
        its own. A consumer takes the messages that `takes` accepts by their headers: what one of several on a topic
        waits for does not hold up the others.
        """
        options = kafka_options(settings, process.name) | {
            "group.id": group or process.name,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            "max.poll.interval.ms": 300_000,
            "queued.max.messages.kbytes": buffer_kibibytes,
            "error_cb": self._brokers_trouble,
        }
        self._trouble: str | None = None
        self._consumer = confluent_kafka.Consumer(options, logger=logging.getLogger("kafka"))
        self._process = process
        self._producer = producer
        self._topic = topic
        self._model = model
        self._handle = handle
        self._batch = batch
        self._takes = takes
        self._busy = threading.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=topic)

    def run(self) -> None:
        """Consume until the process is asked to stop; messages in work then are finished, if they can be."""
        stop, health = self._process.stop, self._process.health
        self._consumer.subscribe([self._topic], on_assign=self._assigned)
        log.info("consuming", topic=self._topic)
        try:
            while not stop.is_set():
                good = [message for message in self._next() if self._is_good(message)]
                if self._brokers_answer():
                    health.ready()
                mine = [message for message in good if self._takes(_headers(message))]
                if good and (not mine or self._work(mine)):
                    self._commit(good)
        finally:
            self._pool.shutdown()
            self._consumer.close()
            log.info("consumer closed", topic=self._topic)

    def _next(self) -> list[confluent_kafka.Message]:
        """A batch as soon as there is a message: librdkafka by itself would wait the whole time for a full one."""
        first = self._consumer.consume(1, POLL_SECONDS)
        return first + self._consumer.consume(self._batch - 1, GATHER_SECONDS) if first and self._batch > 1 else first

    def _brokers_trouble(self, error: KafkaError) -> None:
        self._trouble = error.str()

    def _brokers_answer(self) -> bool:
        """Whether the brokers answer; asked only after trouble was seen."""
        if self._trouble is None:
            return True
        try:
            self._consumer.list_topics(self._topic, timeout=5)
        except KafkaException as error:
            self._process.health.not_ready(f"Kafka: {self._trouble}: {error}")
            return False
        self._trouble = None
        return True

    def _is_good(self, message: confluent_kafka.Message) -> bool:
        error = message.error()
        if error is None:
            return True
        self._trouble = error.str()
        log.warning("Kafka reports an error", topic=self._topic, error=error.str())
        if error.fatal():
            raise KafkaException(error)
        return False

    def _assigned(self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if self._busy.is_set():
            consumer.pause(partitions)

    def _work(self, messages: list[confluent_kafka.Message]) -> bool:
        """Handle a batch; False if it was given up because the process stops."""
        groups = _by_key(messages)
        while True:
            running = {self._pool.submit(self._work_group, group) for group in groups}
            self._poll_until(running)
            if not all(future.result() for future in running):
                return False
            try:
                self._producer.flush()
            except DeliveryError as error:  # what was sent is not durable: the whole batch again
                self._process.health.not_ready(str(error))
                log.warning("unavailable, the batch is repeated", topic=self._topic, error=str(error))
                if self._process.stop.wait(5):
                    return False
            else:
                return True

    def _poll_until(self, running: set[Future[bool]]) -> None:
        """Wait for work; when it takes long, poll meanwhile to keep the membership, with the partitions paused.

        Not at once: librdkafka forgets what it has fetched when it pauses, and would fetch it again for each batch.
        """
        if not wait(running, timeout=QUICK_SECONDS).not_done:
            return
        self._busy.set()
        self._consumer.pause(self._consumer.assignment())
        try:
            while wait(running, timeout=0.2).not_done:
                message = self._consumer.poll(0)
                self._process.health.beat()
                if message is not None and self._is_good(message):
                    self._consumer.seek(
                        TopicPartition(message.topic() or "", message.partition() or 0, message.offset() or 0)
                    )
        finally:
            self._busy.clear()
            self._consumer.resume(self._consumer.assignment())

    def _work_group(self, messages: list[confluent_kafka.Message]) -> bool:
        return all(not self._process.stop.is_set() and self._work_one(message) for message in messages)

    def _work_one(self, message: confluent_kafka.Message) -> bool:
        with SECONDS.labels(self._topic).time():
            try:
                parsed = self._model.model_validate_json(_bytes(message.value()))
            except ValidationError as error:
                problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
                self._dead_letter(message, f"not a valid {self._model.__name__}: {problems}", "")
                return True
            key = _text(message.key())
            trace = parsed.trace_id() if isinstance(parsed, Message) else product_trace(key)
            with tracing.handling(self._topic, _headers(message), trace, key) as step:
                return self._work_parsed(message, parsed, step)

    def _work_parsed(self, message: confluent_kafka.Message, parsed: M, step: tracing.Step) -> bool:
        try:
            handled = self._attempt(parsed, _text(message.key()), step)
        except Exception as error:
            stack = "" if isinstance(error, RejectedError) else traceback.format_exc()
            reason = f"{type(error).__name__}: {error}"
            step.failed(reason)
            self._dead_letter(message, reason, stack)
            return True
        if handled:
            HANDLED.labels(self._topic, "done").inc()
        else:
            step.failed("the process stops; the message is handled again")
        return handled

    def _attempt(self, parsed: M, key: str, step: tracing.Step) -> bool:
        """Handle, with retries; False if the process stops first; raises when no retry helps."""
        stop = self._process.stop

        def exhausted(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            return not isinstance(error, UNAVAILABLE) and state.attempt_number >= ATTEMPTS

        def report(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, UNAVAILABLE):
                self._process.health.not_ready(str(error))
            step.note(retries=state.attempt_number)
            log.warning(
                "handling failed, trying again",
                topic=self._topic,
                product=key,
                attempt=state.attempt_number,
                error=f"{type(error).__name__}: {error}",
            )

        retrying = Retrying(
            retry=retry_if_not_exception_type(RejectedError),
            stop=lambda state: stop.is_set() or exhausted(state),
            wait=wait_exponential_jitter(multiplier=0.2, max=30),
            sleep=sleep_using_event(stop),
            before_sleep=report,
            reraise=True,
        )
        try:
            retrying(self._handle, parsed)
        except RejectedError:
            raise
        except Exception:
            if stop.is_set():
                return False
            raise
        return True

    def _dead_letter(self, message: confluent_kafka.Message, reason: str, stack: str) -> None:
        HANDLED.labels(self._topic, "failed").inc()
        log.error("message goes to error-warning", topic=self._topic, offset=message.offset(), reason=reason)
        text = _text(message.value())
        failed = FailedProcessing(
            topic=self._topic,
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            key=_text(message.key()),
            **_common(text),
            failure_message=reason,
            stacktrace=stack,
            pod_name=pod_name(),
            message=text,
        )
        self._producer.send(ERROR_WARNING, failed, _text(message.key()))

    def _commit(self, messages: list[confluent_kafka.Message]) -> None:
        ends: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a partition moved meanwhile: its new owner repeats the work
            log.warning("commit refused, messages will be repeated", topic=self._topic, error=str(error))


def run_together(process: Process, consumers: Sequence[Consumer[Any]]) -> None:
    """Run several consumers until the process is asked to stop; one that fails stops all, and is raised."""

    def run(consumer: Consumer[Any]) -> None:
        try:
            consumer.run()
        finally:
            process.stop.set()

    with ThreadPoolExecutor(len(consumers), thread_name_prefix="consumer") as pool:
        for future in [pool.submit(run, consumer) for consumer in consumers]:
            future.result()


def _by_key(messages: list[confluent_kafka.Message]) -> list[list[confluent_kafka.Message]]:
    groups: dict[bytes, list[confluent_kafka.Message]] = {}
    for message in messages:
        groups.setdefault(_bytes(message.key()), []).append(message)
    return list(groups.values())


def _common(text: str) -> dict[str, Any]:
    """What a message that failed says of its mission and of its earlier tries, if it can be read at all."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    mission, counter = found.get("missionId"), found.get("retryCounter")
    return {
        "mission_id": mission[:8] if isinstance(mission, str) else "",
        "retry_counter": counter if type(counter) is int and counter >= 0 else 0,
    }


def _headers(message: confluent_kafka.Message) -> dict[str, str]:
    headers: Any = message.headers() or []
    return {key: _text(value) for key, value in headers}


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _text(value: str | bytes | None) -> str:
    return _bytes(value).decode("utf-8", "replace")
