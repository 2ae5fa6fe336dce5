"""Steps of traces: ids by names, context in headers, parts, what is left out; and how they are written to Kafka."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from structlog.testing import capture_logs

from refsys.services.common import logs, trace_export, tracing
from refsys.services.common.messages import product_trace
from refsys.services.common.trace_export import TopicProcessor, encoded
from refsys.services.logs.spans import UnreadableError, documents_of

NAME = "S1A_OPER_AUX_X.EOF"
TRACE = product_trace(NAME)


class Kept(SpanProcessor):
    """Keeps what ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)

    def documents(self) -> list[dict[str, Any]]:
        """As they are stored, in the order of their ends."""
        return [document for _, document, _ in documents_of(encoded(self.spans))]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(tracing, "_of_process", tracing._of_process)
    kept = Kept()
    tracing.configure("catalogue", "catalogue-1", kept)
    yield kept


def test_a_name_has_one_trace() -> None:
    assert TRACE == product_trace(NAME) != product_trace(NAME + ".zip")
    assert product_trace("x", retransferred=True) == product_trace("RETRANSFER/x") != product_trace("x")
    assert len(TRACE) == 32


def test_steps_follow_each_other_through_headers(kept: Kept) -> None:
    with tracing.beginning("seen", TRACE, product=NAME, station="MTI_"):
        tracing.sent("ingestion-job")
        headers = tracing.headers()
    with tracing.handling("ingestion-job", headers, product_trace("of another"), NAME) as step:
        assert tracing.current_trace() == TRACE
        with tracing.step("store", bucket="b"):
            taken = b"".join(tracing.streamed("download", [b"ab", b"c"]))
        step.note(retries=2)
    seen, download, store, handled = kept.documents()
    assert taken == b"abc"
    assert {each["trace_id"] for each in (seen, download, store, handled)} == {TRACE}
    assert "parent_id" not in seen
    assert (handled["parent_id"], store["parent_id"]) == (seen["span_id"], handled["span_id"])
    assert download["parent_id"] == store["span_id"]
    assert seen["attributes"] == {"station": "MTI_", "sent": ["ingestion-job"]}
    assert download["attributes"]["bytes"] == 3
    assert handled["attributes"]["retries"] == 2
    assert (handled["process"], handled["pod"], handled["product"]) == ("catalogue", "catalogue-1", NAME)


@pytest.mark.parametrize(
    "header", [{}, {"traceparent": "00-nonsense"}, {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"}]
)
def test_without_a_header_the_trace_is_that_of_the_product(kept: Kept, header: dict[str, str]) -> None:
    with tracing.handling("catalog-job", header, TRACE, NAME):
        pass
    (only,) = kept.documents()
    assert only["trace_id"] == TRACE
    assert "parent_id" not in only


def test_a_step_that_raises_failed(kept: Kept) -> None:
    with pytest.raises(ValueError, match="wrong"), tracing.handling("catalog-job", {}, TRACE, NAME):
        raise ValueError("wrong")
    (only,) = kept.documents()
    assert (only["status"], only["reason"]) == ("error", "ValueError: wrong")


def test_outside_of_a_step_nothing_is_made(kept: Kept) -> None:
    with tracing.step("store"):
        assert list(tracing.streamed("download", [b"x"])) == [b"x"]
    tracing.sent("topic")
    tracing.running().failed("nobody")
    assert (tracing.headers(), tracing.current_trace(), kept.spans) == ({}, None, [])


def test_chunks_taken_by_another_thread_belong_to_the_step(kept: Kept) -> None:
    with tracing.handling("catalog-job", {}, TRACE, NAME):
        chunks = tracing.streamed("download", iter([b"x"]))
        thread = threading.Thread(target=lambda: list(chunks))
        thread.start()
        thread.join()
    download, handled = kept.documents()
    assert download["parent_id"] == handled["span_id"]


def test_log_lines_carry_the_trace(kept: Kept) -> None:
    with tracing.beginning("seen", TRACE, product=NAME):
        event = logs._traced(None, "info", {"event": "x"})
        with capture_logs(), logs.task("PripWorker", chain="DISTRIBUTION", mission="S1") as task:
            pass
    assert event["trace_id"] == TRACE
    assert "trace_id" not in logs._traced(None, "info", {"event": "x"})
    report: dict[str, Any] = {"header": {}, "task": {}}
    line = logs._line(None, "info", {"event": "x", "level": "info", "report": report, "trace_id": TRACE})
    assert line["custom"] == {"trace_id_string": TRACE}
    assert kept.documents()[0]["attributes"]["task"] == task.uid


class FakeProducer:
    """Kafka that takes, or is full."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.full = False

    def produce(self, topic: str, value: bytes, on_delivery: Any) -> None:
        assert topic == "traces"
        if self.full:
            raise BufferError
        self.messages.append(value)

    def poll(self, seconds: float) -> int:
        return 0

    def flush(self, seconds: float) -> int:
        return 0


def lost(reason: str) -> float:
    return float(trace_export.LOST.labels(reason)._value.get())


def test_too_many_steps_are_counted_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    monkeypatch.setattr("confluent_kafka.Producer", lambda options, logger: producer)
    monkeypatch.setattr(trace_export, "PERIOD_SECONDS", 3600.0)
    monkeypatch.setattr(trace_export, "LIMIT", 450)
    monkeypatch.setattr(tracing, "_of_process", tracing._of_process)
    before = lost("too many"), lost("Kafka")
    processor = TopicProcessor({})
    tracing.configure("x", "x-1", processor)
    for _ in range(500):
        with tracing.beginning("seen", TRACE, product=NAME):
            pass
    with tracing.beginning("seen", TRACE, product=NAME):
        tracing.nothing_done()
    assert processor.force_flush()
    assert [len(list(documents_of(each))) for each in producer.messages] == [200, 200, 50]
    assert lost("too many") - before[0] == 50
    producer.full = True
    with tracing.beginning("seen", TRACE, product=NAME):
        pass
    processor.shutdown()
    assert lost("Kafka") - before[1] == 1


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        b'{"resourceSpans": 1}',
        b'{"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [{}]}]}]}',
    ],
)
def test_what_is_no_steps_is_told_apart(value: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(documents_of(value))


def test_the_form_is_that_of_otlp(kept: Kept) -> None:
    with tracing.beginning("seen", TRACE, product=NAME, tries=3, share=0.5, late=True):
        tracing.sent("a")
    resource = json.loads(encoded(kept.spans))["resourceSpans"][0]
    assert {"key": "service.name", "value": {"stringValue": "catalogue"}} in resource["resource"]["attributes"]
    (span,) = resource["scopeSpans"][0]["spans"]
    assert (span["traceId"], len(span["spanId"]), span["kind"]) == (TRACE, 16, 4)
    values = {each["key"]: each["value"] for each in span["attributes"]}
    assert values == {
        "refsys.product": {"stringValue": NAME},
        "refsys.tries": {"intValue": "3"},
        "refsys.share": {"doubleValue": 0.5},
        "refsys.late": {"boolValue": True},
        "refsys.sent": {"arrayValue": {"values": [{"stringValue": "a"}]}},
    }
