"""Steps of traces go to Kafka's topic `traces`, as OpenTelemetry's own JSON (OTLP), many in a message.

Nothing waits for it: what cannot be sent is counted and forgotten.
"""

import atexit
import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from prometheus_client import Counter

from refsys.services.common.tracing import QUIET
from refsys.services.logs.templates import TRACES

LIMIT = 4096  # steps that wait
BATCH = 200
PERIOD_SECONDS = 1.0
DELIVERY_SECONDS = 30
LAST_SECONDS = 5.0
BUFFER_KIBIBYTES = 4096

SPANS = Counter("refsys_spans_total", "Steps of traces handed to Kafka")
LOST = Counter("refsys_spans_lost_total", "Steps of traces that were given up, by reason", ["reason"])

Value = dict[str, Any]


class TopicProcessor(SpanProcessor):
    """Sends steps a second after they ended at the latest."""

    def __init__(self, options: dict[str, Any]) -> None:
        """`options` are those of every client of the environment."""
        self._producer = confluent_kafka.Producer(
            options
            | {
                "compression.type": "lz4",
                "acks": 1,
                "queue.buffering.max.kbytes": BUFFER_KIBIBYTES,
                "message.timeout.ms": DELIVERY_SECONDS * 1000,
            },
            logger=logging.getLogger("kafka"),
        )
        self._waiting: deque[ReadableSpan] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is to be done then."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a step for the next sending."""
        if span.attributes and QUIET in span.attributes:
            return
        if len(self._waiting) >= LIMIT:
            LOST.labels("too many").inc()
            return
        self._waiting.append(span)

    def shutdown(self) -> None:
        """Send what is left, for some seconds."""
        self._over.set()
        self._thread.join(LAST_SECONDS)
        self._send()
        self._producer.flush(LAST_SECONDS)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what waits, and wait until Kafka has it."""
        self._send()
        return self._producer.flush(timeout_millis / 1000) == 0

    def _run(self) -> None:
        while not self._over.wait(PERIOD_SECONDS):
            self._send()

    def _send(self) -> None:
        while batch := self._taken():
            try:
                self._producer.produce(TRACES, encoded(batch), on_delivery=partial(_delivered, len(batch)))
            except (BufferError, KafkaException, TypeError, ValueError):
                LOST.labels("Kafka").inc(len(batch))
        self._producer.poll(0)

    def _taken(self) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        while len(batch) < BATCH:
            try:
                batch.append(self._waiting.popleft())
            except IndexError:
                break
        return batch


def exporting(options: dict[str, Any]) -> TopicProcessor:
    """Return a processor that sends what is left when the interpreter ends."""
    processor = TopicProcessor(options)
    atexit.register(processor.shutdown)
    return processor


def _delivered(count: int, error: KafkaError | None, _message: confluent_kafka.Message) -> None:
    if error is None:
        SPANS.inc(count)
    else:
        LOST.labels("Kafka").inc(count)


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """The steps of one process as an OTLP `TracesData` in JSON."""
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(spans[0].resource.attributes.items())},
                "scopeSpans": [{"scope": {"name": "refsys"}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _span(span: ReadableSpan) -> Value:
    context, parent = span.context, span.parent
    value: Value = {
        "traceId": format(context.trace_id, "032x"),
        "spanId": format(context.span_id, "016x"),
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP has 0 for none
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes((span.attributes or {}).items()),
    }
    if parent is not None:
        value["parentSpanId"] = format(parent.span_id, "016x")
    if span.status.description is not None or not span.status.is_unset:
        value["status"] = {"code": span.status.status_code.value, "message": span.status.description or ""}
    return value


def _attributes(items: Iterable[tuple[str, Any]]) -> list[Value]:
    return [{"key": key, "value": _value(value)} for key, value in items]


def _value(value: Any) -> Value:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case tuple() | list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": str(value)}
