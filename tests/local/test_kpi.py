"""KPIs of a running environment: what the demo brings in is in the tables, and the commands show it."""

import json
import time
from typing import Any

import pytest
from kubernetes import client

from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(900)

SECONDS = 60


def figures(environment: Environment) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(environment.refsys("kpi", environment.name, "--json").output)
    return found


def brought_in(total: dict[str, int], before: int) -> bool:
    """Whether the demo's 26 products and 32 files of sessions are there, and nothing is under way."""
    return total["published"] >= before + 26 + 32 and total["arrived"] == total["expected"]


def test_the_demo_is_in_the_figures(environment: Environment, cluster: client.ApiClient) -> None:
    assert cluster
    before = figures(environment)["total"]["published"]
    environment.refsys("demo", environment.name)

    end = time.monotonic() + SECONDS
    while not brought_in(figures(environment)["total"], before):
        assert time.monotonic() < end, figures(environment)
        time.sleep(2)
    found = figures(environment)
    assert {row["mission"] for row in found["value"]} >= {"S1", "S2", "S3"}
    assert {row["level"] for row in found["value"]} >= {"SESSION", "AUX"}
    assert {"IngestionWorker", "MetadataExtraction", "PripWorker"} <= {row["name"] for row in found["tasks"]}
    shown = environment.refsys("kpi", environment.name).output
    assert "SESSION" in shown
    written = environment.refsys("kpi", "report", found["day"][:7], environment.name).output
    page = environment.home / "reports" / f"kpi-{found['day'][:7]}.html"
    assert str(page) in written
    assert "<svg" in page.read_text()
    assert found["day"] in page.with_suffix(".csv").read_text()
