"""Records: what the nodes' collectors send, and the documents that the store keeps (docs/logs.md)."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from refsys.services.common.messages import iso

CHAIN_LINES = frozenset({"LOG", "REPORT"})
"""Types of the chain's own lines (log and trace interface documents)."""
TIMES = {"suricata": "timestamp", "kubernetes": "stageTimestamp", "wazuh": "timestamp", "falco": "time"}
"""Where a source's events say when they were; the collector only knows when it read them."""

PRODUCT_FIELD = re.compile(r"(?:file_?names?|products?|product_names?)(?:_strings?)?")
"""Where the chain's lines name products: in what a task was given, in what it made, and in other fields."""
PRODUCTS_LIMIT = 100

FILE_INTEGRITY = "samhain"
FIELD = re.compile(r"(\w+)=<([^>]*)>")
"""How samhain names what it found: `path=</usr/bin/x>, mode_new=<-rwsr-xr-x>`."""

Document = dict[str, Any]


def document_of(value: bytes, received: datetime) -> tuple[Document, datetime]:
    """Return the document of a record, and the time that it tells of.

    What is no record is kept as it is, as a message of the time at which Kafka got it: nothing is thrown away.
    """
    record = _object(value)
    if record is None or not isinstance(message := record.get("message"), str):
        text = value.decode("utf-8", "replace")
        return {"@timestamp": iso(received), "source": "unreadable", "message": text}, received
    if record.get("program") == FILE_INTEGRITY:
        record["event"] = dict(FIELD.findall(message))
    elif (event := _object(message)) is not None:
        record |= _chain_line(event) or _alert(record, event) or {"event": event}
    moment = _time(record) or received
    return record | {"@timestamp": iso(moment)}, moment


def plain(document: Document, reason: str) -> Document:
    """Return a document that the store refused without its parsed part, which its message still holds."""
    kept = {key: value for key, value in document.items() if isinstance(value, str)}
    if "event" in document and not kept.get("message", "").startswith("{"):
        kept["message"] = orjson.dumps(document["event"]).decode()
    return kept | {"refused": reason}


def _object(text: str | bytes) -> Document | None:
    if text[:1] not in {"{", b"{"}:
        return None
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _time(record: Document) -> datetime | None:
    event = record.get("event", {})
    said = event.get(TIMES.get(str(record.get("source")), "")) or record.get("@timestamp")
    try:
        return datetime.fromisoformat(str(said)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _alert(record: Document, event: Document) -> Document | None:
    """Return what an alert of Wazuh or Falco says, in the fields that both have.

    Wazuh's manager writes for all nodes, so the record's host is the agent's. Falco has the rule's name where Wazuh
    has what it is about, and the store can't have both in one field.
    """
    rule, agent = event.get("rule"), event.get("agent")
    if record.get("source") == "falco" and isinstance(rule, str):
        return {"event": event | {"rule": {"description": rule}}}
    if record.get("source") == "wazuh" and isinstance(agent, dict) and isinstance(agent.get("name"), str):
        return {"event": event, "host": agent["name"]}
    return None


def _chain_line(event: Document) -> Document | None:
    """Return what a line of the chain says of itself, in the fields that all records have."""
    header, message = event.get("header"), event.get("message")
    if not (isinstance(header, dict) and header.get("type") in CHAIN_LINES and isinstance(message, dict)):
        return None
    level = str(header.get("level", "")).lower()
    products = _products(event)
    return {
        **({"products": products} if products else {}),
        "event": {key: value for key, value in event.items() if key != "message"},
        "message": str(message.get("content", "")),
        "severity": {"error": "err", "critical": "crit"}.get(level, level or "info"),
    }


def _products(event: Document) -> list[str]:
    """Return the names of products in a line of the chain, by which operators search."""
    task, found = event.get("task"), set[str]()
    parts = [task.get("input"), task.get("output")] if isinstance(task, dict) else []
    for fields in (*parts, event.get("custom")):
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if _names_products(name):
                found |= {each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)}
    return sorted(found)[:PRODUCTS_LIMIT]


@lru_cache
def _names_products(field: str) -> bool:
    return PRODUCT_FIELD.fullmatch(field) is not None
