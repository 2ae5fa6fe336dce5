"""How records are kept: an index a day and kind, which fields are searchable, and for how long."""

from datetime import date, timedelta
from functools import lru_cache
from typing import Any

LOGS = {
    "logs-processing": timedelta(days=60),
    "logs-security": timedelta(days=183),
    "logs-system": timedelta(days=60),
}
"""Kafka's topics of logs, which are also the beginnings of the indices' names, and how long each is kept."""
TRACES = "traces"
"""Kafka's topic of the products' traces, and the beginning of its indices' names."""
KEPT = LOGS | {TRACES: timedelta(days=60)}

ALERTS = "alerts"
DETECTOR = "detector"
REFRESH = "5s"

KEYWORD = {"type": "keyword", "ignore_above": 1024}
NUMBER = {"type": "long", "ignore_malformed": True}

EVENT_KEYWORDS = (
    # Suricata
    "event_type",
    "src_ip",
    "dest_ip",
    "proto",
    "alert.signature",
    "alert.category",
    "alert.action",
    # Kubernetes' audit log
    "auditID",
    "stage",
    "verb",
    "user.username",
    "user.groups",
    "sourceIPs",
    "objectRef.resource",
    "objectRef.subresource",
    "objectRef.namespace",
    "objectRef.name",
    "responseStatus.reason",
    "responseStatus.message",
    "requestURI",
    # samhain
    "path",
    "mode_old",
    "mode_new",
    # the chain's processes
    "header.type",
    "header.level",
    "header.mission",
    "custom.product_string",
    "custom.user_string",
    "custom.reason_string",
    "custom.trace_id_string",
    "task.name",
    "task.event",
    "task.status",
    "task.uid",
    # the gateway's requests
    "client",
    "method",
    # Wazuh and Falco
    "rule.id",
    "rule.description",
    "rule.groups",
    "agent.name",
    "location",
    "syscheck.path",
    "syscheck.event",
    "priority",
)
EVENT_NUMBERS = (
    "src_port",
    "dest_port",
    "alert.signature_id",
    "alert.severity",
    "responseStatus.code",
    "status",
    "task.error_code",
    # Wazuh
    "rule.level",
)
"""Fields of `event` that can be searched; all others are kept and shown. A test holds rules to them."""


def mappings() -> dict[str, Any]:
    """Return the fields of a record; a field that is not named is kept, but cannot be searched."""
    return {
        "dynamic": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "indexed": {"type": "date"},
            "host": KEYWORD,
            "source": KEYWORD,
            "program": KEYWORD,
            "severity": KEYWORD,
            "message": {"type": "text"},
            "products": KEYWORD,
            "namespace": KEYWORD,
            "pod": KEYWORD,
            "container": KEYWORD,
            "event": {"dynamic": False, "properties": _tree()},
        },
    }


def _tree() -> dict[str, Any]:
    tree: dict[str, Any] = {}
    fields = dict.fromkeys(EVENT_KEYWORDS, KEYWORD) | dict.fromkeys(EVENT_NUMBERS, NUMBER)
    for path, kind in fields.items():
        *parents, name = path.split(".")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {"properties": {}})["properties"]
        inner[name] = kind
    return tree


def alert_mappings() -> dict[str, Any]:
    """Return the fields of an alert (`refsys.services.detection.alerts`)."""
    return {
        "dynamic": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "last_seen": {"type": "date"},
            "raised": {"type": "date"},
            "rule": KEYWORD,
            "title": KEYWORD,
            "level": KEYWORD,
            "group": KEYWORD,
            "host": KEYWORD,
            "records": {"type": "long"},
        },
    }


def trace_mappings() -> dict[str, Any]:
    """Return the fields of a step of a trace (`refsys.services.logs.spans`)."""
    keywords = ("trace_id", "span_id", "parent_id", "name", "process", "status", "product")
    return {
        "dynamic": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "end": {"type": "date"},
            "seconds": {"type": "double"},
            **dict.fromkeys(keywords, KEYWORD),
        },
    }


def templates() -> dict[str, dict[str, Any]]:
    """Return the index templates by name."""
    settings = {"index": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": REFRESH}}
    # Without an interval of its own, an index that is seldom searched is refreshed by the search.
    seldom = {"index": {"number_of_shards": 1, "number_of_replicas": 0, "codec": "best_compression"}}
    return {
        "logs": {"index_patterns": ["logs-*"], "template": {"settings": settings, "mappings": mappings()}},
        TRACES: {"index_patterns": ["traces-*"], "template": {"settings": seldom, "mappings": trace_mappings()}},
        ALERTS: {
            "index_patterns": [ALERTS, DETECTOR],
            "template": {"settings": settings, "mappings": alert_mappings()},
        },
    }


@lru_cache
def index_of(topic: str, day: date) -> str:
    """Return the name of the index that a record of `topic` and of `day` lies in."""
    return f"{topic}-{day:%Y.%m.%d}"


def too_old(index: str, today: date) -> bool:
    """Tell whether an index may go: its day lies behind what is kept of its kind."""
    topic, _, day = index.rpartition("-")
    if topic not in KEPT:
        return False
    try:
        return date.fromisoformat(day.replace(".", "-")) < today - KEPT[topic]
    except ValueError:
        return False
