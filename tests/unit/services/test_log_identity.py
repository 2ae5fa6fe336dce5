"""A record that a collector sent twice has one id, and others have ids of their own."""

import json
from datetime import UTC, datetime

import pytest

from refsys.services.logs.indexer import identified

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RECORD = {"@timestamp": "2026-11-22T05:00:00.123456789Z", "message": "x", "place": "449"}


def identity(kafka: str = "logs-system-0-1", **changes: str) -> str:
    identifier, document, _ = identified(json.dumps(RECORD | changes).encode(), NOW, kafka)
    assert "place" not in document
    return identifier


def test_a_record_that_was_sent_twice_is_one() -> None:
    assert identity() == identity("logs-system-0-2")


@pytest.mark.parametrize("change", [{"place": "512"}, {"message": "y"}, {"@timestamp": "2026-11-22T05:00:00.1Z"}])
def test_others_are_others(change: dict[str, str]) -> None:
    assert identity(**change) != identity()


def test_later_ones_have_greater_ids() -> None:
    assert identity(**{"@timestamp": "2026-11-22T05:00:00.125Z"}) > identity()


def test_what_has_no_place_is_known_by_that_in_kafka() -> None:
    assert identity(place="") == "logs-system-0-1"
    assert identified(b'{"half', NOW, "logs-system-0-7")[0] == "logs-system-0-7"
