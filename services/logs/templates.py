"""How records are kept: an index a day and kind, which fields are searchable, and for how long."""

from datetime import date, timedelta
from typing import Any

LOGS = {
    "logs-processing": timedelta(days=60),
    "logs-security": timedelta(days=183),
    "logs-system": timedelta(days=60),
}
"""Kafka's topics, which are also the beginnings of the indices' names, and how long each is kept."""

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
    "task.name",
    "task.event",
    "task.status",
    "task.uid",
    # the gateway's requests
    "client",
    "method",
)
EVENT_NUMBERS = (
    "src_port",
    "dest_port",
    "alert.signature_id",
    "alert.severity",
    "responseStatus.code",
    "status",
    "task.error_code",
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


def templates() -> dict[str, dict[str, Any]]:
    """Return the index templates by name."""
    settings = {"index": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": REFRESH}}
    return {
        "logs": {"index_patterns": ["logs-*"], "template": {"settings": settings, "mappings": mappings()}},
        ALERTS: {
            "index_patterns": [ALERTS, DETECTOR],
            "template": {"settings": settings, "mappings": alert_mappings()},
        },
    }


def index_of(topic: str, day: date) -> str:
    """Return the name of the index that a record of `topic` and of `day` lies in."""
    return f"{topic}-{day:%Y.%m.%d}"


def too_old(index: str, today: date) -> bool:
    """Tell whether an index may go: its day lies behind what is kept of its kind."""
    topic, _, day = index.rpartition("-")
    if topic not in LOGS:
        return False
    try:
        return date.fromisoformat(day.replace(".", "-")) < today - LOGS[topic]
    except ValueError:
        return False
