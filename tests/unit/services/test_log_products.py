"""Lines of the chain are found by the products that they name."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from refsys.services.logs.records import document_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def products(**event: Any) -> Any:
    line = {"header": {"type": "REPORT", "level": "INFO"}, "message": {"content": "x"}, **event}
    return document_of(json.dumps({"message": json.dumps(line)}).encode(), NOW)[0].get("products")


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"task": {"input": {"filename_string": "A", "station": "S"}, "output": {"filename": "B"}}}, ["A", "B"]),
        ({"task": {"input": {"filename_strings": ["B", "A", 3]}}}, ["A", "B"]),
        ({"custom": {"product_string": "C", "reason_string": "x"}}, ["C"]),
        ({"task": None, "custom": "x"}, None),
        ({}, None),
    ],
)
def test_products_of_a_line(event: dict[str, Any], found: list[str] | None) -> None:
    assert products(**event) == found
