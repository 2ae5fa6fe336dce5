"""Steps of traces: from OTLP in JSON to the documents that the store keeps (docs/traces.md)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from refsys.services.common.messages import iso

ERROR = 2  # OTLP's code of a status
OWN = "refsys."

Document = dict[str, Any]


class UnreadableError(ValueError):
    """A message holds no steps."""


def documents_of(value: bytes) -> Iterator[tuple[str, Document, datetime]]:
    """Yield id, document and begin of each step in a message.

    Raises:
        UnreadableError: it is no OTLP in JSON.
    """
    try:
        for resource in json.loads(value)["resourceSpans"]:
            of_process = _attributes(resource["resource"])
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield _document(span, of_process)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _document(span: Document, of_process: Document) -> tuple[str, Document, datetime]:
    attributes = _attributes(span)
    begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    status = span.get("status", {})
    moment = datetime.fromtimestamp(begin / 1e9, UTC)
    document = {
        "@timestamp": iso(moment),
        "end": iso(datetime.fromtimestamp(end / 1e9, UTC)),
        "seconds": round((end - begin) / 1e9, 6),
        "trace_id": span["traceId"],
        "span_id": span["spanId"],
        "name": span["name"],
        "process": of_process.get("service.name", ""),
        "pod": of_process.get("service.instance.id", ""),
        "status": "error" if status.get("code") == ERROR else "ok",
        "product": attributes.pop("product", ""),
        "attributes": attributes,
    }
    if parent := span.get("parentSpanId"):
        document["parent_id"] = parent
    if reason := status.get("message"):
        document["reason"] = reason
    return span["spanId"], document, moment


def _attributes(holder: Document) -> Document:
    given = holder.get("attributes", [])
    return {each["key"].removeprefix(OWN): _value(each["value"]) for each in given}


def _value(value: Document) -> Any:
    ((kind, content),) = value.items()
    if kind == "arrayValue":
        return [_value(each) for each in content.get("values", [])]
    return int(content) if kind == "intValue" else content
