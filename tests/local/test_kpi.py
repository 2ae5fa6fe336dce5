"""KPIs of a running environment: what the demo brings in is in the tables, and the commands show it."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client

from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(900)

SECONDS = 60
PRODUCTS = 18  # auxiliary files that the demo makes itself
SESSION_FILES = 24  # of 32; lists of session data are read and not published


def figures(environment: Environment) -> dict[str, Any]:
    month = f"{datetime.now(UTC):%Y-%m}"
    found: dict[str, Any] = json.loads(environment.refsys("kpi", "report", month, environment.name, "--json").output)
    return found


def published(found: dict[str, Any], level: str) -> int:
    return sum(min(row["published"], row["arrived"]) for row in found["value"] if row["level"] == level)


def test_the_demo_is_in_the_figures(environment: Environment, cluster: client.ApiClient) -> None:
    assert cluster
    environment.refsys("demo", environment.name)  # nothing is published twice where it ran before
    end = time.monotonic() + SECONDS
    while True:
        found = figures(environment)
        if published(found, "AUX") >= PRODUCTS and published(found, "SESSION") >= SESSION_FILES:
            break
        assert time.monotonic() < end, found
        time.sleep(2)
    assert {row["mission"] for row in found["value"]} >= {"S1", "S2", "S3"}
    assert {"IngestionWorker", "MetadataExtraction", "PripWorker"} <= {row["name"] for row in found["tasks"]}
    environment.refsys("kpi", environment.name)
    written = environment.refsys("kpi", "report", found["month"], environment.name).output
    page = environment.home / "reports" / f"kpi-{found['month']}.html"
    assert str(page) in written
    assert "<svg" in page.read_text()
    assert found["month"] in page.with_suffix(".csv").read_text()
