"""Traces: what happened to a product, one trace from station to user (docs/traces.md).

A product's trace id is a digest of its name in the catalogue: nothing has to be kept for it between the steps, and
who knows the name knows the trace. Which step came after which is carried by the messages' header `traceparent`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from opentelemetry import context as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Value = str | int | float | bool

HANDLING = "process "
"""How the names of steps begin that handle a message; its topic follows."""
PRODUCT = "refsys.product"
SENT = "refsys.sent"
"""The topics that a step sent messages to."""
RETRIES = "refsys.retries"
QUIET = "refsys.quiet"
"""A step that did nothing is not kept."""
REASON_LIMIT = 500

_PROPAGATOR = TraceContextTextMapPropagator()
_wanted: ContextVar[int | None] = ContextVar("wanted_trace_id", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, but for the trace id of a product."""

    def generate_trace_id(self) -> int:
        return _wanted.get() or super().generate_trace_id()


def _tracer(process: str, pod: str, processor: SpanProcessor | None) -> Tracer:
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource({"service.name": process, "service.namespace": "refsys", "service.instance.id": pod}),
        id_generator=_Ids(),
        span_limits=SpanLimits(max_span_attributes=32, max_events=0, max_links=0, max_span_attribute_length=1024),
        shutdown_on_exit=False,
    )
    if processor:
        provider.add_span_processor(processor)
    return provider.get_tracer("refsys")


_of_process = _tracer("", "", None)


def configure(process: str, pod: str, processor: SpanProcessor) -> None:
    """Hand over what this process does to `processor`; until then, steps are made but go nowhere."""
    global _of_process  # noqa: PLW0603  # one a process, as with the logs
    _of_process = _tracer(process, pod, processor)


def current_trace() -> str | None:
    """The trace id of the running step, None outside of any."""
    found = get_current_span().get_span_context()
    return format(found.trace_id, "032x") if found.is_valid else None


def headers() -> dict[str, str]:
    """The header that makes the receiver's step follow the running one; none outside of any."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


class Step:
    """A running step of a trace."""

    def __init__(self, span: Span) -> None:
        """Wrap a span."""
        self._span = span

    def note(self, **attributes: Value) -> None:
        """Say more of it; underscores in names become dots after `refsys.`."""
        self._span.set_attributes(_named(attributes))

    def failed(self, reason: str) -> None:
        """It failed."""
        self._span.set_status(Status(StatusCode.ERROR, reason[:REASON_LIMIT]))

    def end(self) -> None:
        """It is over."""
        self._span.end()


def running() -> Step:
    """The running step; outside of any, one that goes nowhere."""
    return Step(get_current_span())


def nothing_done() -> None:
    """Say that the running step did nothing: it is not kept."""
    get_current_span().set_attribute(QUIET, value=True)


def sent(topic: str) -> None:
    """Say that the running step sent a message."""
    span = get_current_span()
    if span.is_recording():
        known: tuple[str, ...] = getattr(span, "attributes", {}).get(SENT, ())
        if topic not in known:
            span.set_attribute(SENT, (*known, topic))


def first(name: str, trace: str, *, product: str, began: datetime | None = None, **attributes: Value) -> Step:
    """Begin a step without one before it, in the trace of a product. It ends by `end` alone."""
    wanted = _wanted.set(int(trace, 16))
    try:
        span = _of_process.start_span(
            name,
            otel.Context(),
            SpanKind.PRODUCER,
            {PRODUCT: product, **_named(attributes)},
            start_time=int(began.timestamp() * 1e9) if began else None,
        )
    finally:
        _wanted.reset(wanted)
    return Step(span)


@contextmanager
def beginning(
    name: str, trace: str, *, product: str, began: datetime | None = None, **attributes: Value
) -> Iterator[Step]:
    """A step without one before it, in the trace of a product."""
    step = first(name, trace, product=product, began=began, **attributes)
    with _current(step):
        yield step


@contextmanager
def handling(topic: str, carrier: Mapping[str, str], trace: str, product: str) -> Iterator[Step]:
    """The step of handling a message; its headers say what it follows, without them `trace` says whose it is."""
    before = _PROPAGATOR.extract(carrier, otel.Context())
    attributes = {PRODUCT: product, "messaging.destination.name": topic}
    wanted = _wanted.set(int(trace, 16))
    try:
        span = _of_process.start_span(f"{HANDLING}{topic}", before, SpanKind.CONSUMER, attributes)
    finally:
        _wanted.reset(wanted)
    with _current(Step(span)) as step:
        yield step


@contextmanager
def step(name: str, **attributes: Value) -> Iterator[Step]:
    """A part of the running step; outside of any it goes nowhere."""
    with _current(_part(name, attributes)) as part:
        yield part


def streamed(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, as a part of the step that runs now: from the first to the last, and how long it waited for them."""
    return _streamed(name, chunks, otel.get_current())


def _streamed(name: str, chunks: Iterable[bytes], context: otel.Context) -> Iterator[bytes]:
    token = otel.attach(context)  # taken in another thread, maybe
    try:
        part = _part(name, {})
    finally:
        otel.detach(token)
    size, waited = 0, 0.0
    iterator = iter(chunks)
    try:
        while True:
            asked = time.perf_counter()
            chunk = next(iterator, None)
            waited += time.perf_counter() - asked
            if chunk is None:
                return
            size += len(chunk)
            yield chunk
    except Exception as error:
        part.failed(f"{type(error).__name__}: {error}")
        raise
    finally:
        part.note(bytes=size, busy_seconds=round(waited, 6))
        part.end()


def carry(step: Step) -> None:
    """Let a step be the running one for the rest of this task, as for a request's."""
    otel.attach(set_span_in_context(step._span))  # of this module


def _part(name: str, attributes: Mapping[str, Value]) -> Step:
    if not get_current_span().get_span_context().is_valid:
        return Step(INVALID_SPAN)
    return Step(_of_process.start_span(name, attributes=_named(attributes)))


@contextmanager
def _current(step: Step) -> Iterator[Step]:
    token = otel.attach(set_span_in_context(step._span))  # of this module
    try:
        yield step
    except BaseException as error:
        step.failed(f"{type(error).__name__}: {error}")
        raise
    finally:
        otel.detach(token)
        step.end()


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {f"refsys.{name}": value for name, value in attributes.items()}
