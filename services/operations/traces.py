"""A product's trace as operators read it: its steps in their order, how long each waited, and where some lack."""

from collections.abc import Sequence
from datetime import datetime

from refsys.services.common.messages import (
    CATALOG_EVENT,
    CATALOG_JOB,
    COMPRESSION_EVENT,
    COMPRESSION_JOBS,
    ERROR_WARNING,
    INGESTION_JOB,
)
from refsys.services.common.tracing import HANDLING
from refsys.services.logs.store import Document, LogStore, hits
from refsys.services.logs.templates import TRACES

LIMIT = 1000
FOLLOWERS = {
    INGESTION_JOB: ("ingestion-worker",),
    CATALOG_JOB: ("catalogue",),
    # Of an event, who has nothing to do with the product leaves no step.
    CATALOG_EVENT: ("publisher", "compression-filter"),
    **dict.fromkeys(COMPRESSION_JOBS, ("compression-worker",)),
    COMPRESSION_EVENT: ("publisher", "lifecycle"),
    ERROR_WARNING: ("dlq",),
}
"""Who goes on with a message: one of these at least."""
PUBLISHER = "publisher"


def spans_of(store: LogStore, trace: str) -> tuple[list[Document], int]:
    """Return the steps of a trace that began first, and how many there are."""
    body = {
        "size": LIMIT,
        "track_total_hits": True,
        "sort": [{"@timestamp": {"order": "asc", "unmapped_type": "date"}}],
        "query": {"bool": {"filter": [{"term": {"trace_id": trace}}]}},
    }
    answer = store.search(f"{TRACES}-*", body)
    # What began in the same microsecond: the whole before its parts.
    found = sorted(hits(answer), key=lambda span: (span["@timestamp"], -span["seconds"]))
    return found, answer["hits"]["total"]["value"]


def trace_document(trace: str, spans: Sequence[Document], count: int) -> Document:
    """Return the trace in the form of the operators' API."""
    known = {span["span_id"]: span for span in spans}
    parts: dict[str, list[Document]] = {}
    whole = []
    for span in spans:
        if _is_part(span, known):
            parts.setdefault(span["parent_id"], []).append(span)
        else:
            whole.append(span)
    gaps = gaps_in(whole, known)
    begin, end = min(span["@timestamp"] for span in spans), max(span["end"] for span in spans)
    return {
        "trace": trace,
        "state": _state(whole, gaps),
        "start": begin,
        "end": end,
        "seconds": _seconds(begin, end),
        "count": count,
        "steps": [_shown(span, known, parts) for span in whole],
        "gaps": gaps,
    }


def gaps_in(steps: Sequence[Document], known: dict[str, Document]) -> list[Document]:
    """Return where a trace has a hole: messages with which nobody went on, and steps that are referred to but lost."""
    gaps = []
    for number, step in enumerate(steps):
        same = [each for each in steps[number:] if _kind(each) == _kind(step)]
        again = {each["span_id"] for each in same}
        for topic in step["attributes"].get("sent", []):
            wanted = FOLLOWERS.get(topic, ())
            if wanted and not any(each.get("parent_id") in again and each["process"] in wanted for each in steps):
                after = {"after": step["process"], "spanId": step["span_id"]}
                gaps.append({**after, "topic": topic, "lacks": list(wanted), "since": step["end"]})
    lost = [step for step in steps if "parent_id" in step and step["parent_id"] not in known]
    return gaps + [
        {"before": step["process"], "spanId": step["span_id"], "lacks": [step["parent_id"]]} for step in lost
    ]


def _is_part(span: Document, known: dict[str, Document]) -> bool:
    parent = known.get(span.get("parent_id", ""))
    return parent is not None and parent["process"] == span["process"] and not span["name"].startswith(HANDLING)


def _kind(step: Document) -> tuple[str, str]:
    return step["process"], step["name"]


def _state(steps: Sequence[Document], gaps: Sequence[Document]) -> str:
    """`failed` if the last run of any step did, `waiting` in a gap, `published` when users can have it."""
    last = {_kind(step): step["status"] for step in steps}
    if "error" in last.values():
        return "failed"
    if gaps:
        return "waiting"
    return "published" if any(process == PUBLISHER for process, _ in last) else "under way"


def _shown(span: Document, known: dict[str, Document], parts: dict[str, list[Document]]) -> Document:
    document: Document = {
        "name": span["name"],
        "process": span["process"],
        "pod": span["pod"],
        "start": span["@timestamp"],
        "seconds": span["seconds"],
        "status": span["status"],
    }
    parent = known.get(span.get("parent_id", ""))
    if parent is not None and not _is_part(span, known):
        document["after"] = parent["process"]
        document["waited"] = max(0.0, _seconds(parent["end"], span["@timestamp"]))
    if "reason" in span:
        document["reason"] = span["reason"]
    document |= {"attributes": span["attributes"], "spanId": span["span_id"]}
    if inner := parts.get(span["span_id"]):
        document["parts"] = [_shown(part, known, parts) for part in inner]
    return document


def _seconds(begin: str, end: str) -> float:
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds(), 6)
