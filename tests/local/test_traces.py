"""Traces of the demo's products in a running environment: every step, no gap, until a user has them."""

import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kubernetes import client

from tests.local.conftest import Environment

pytestmark = pytest.mark.timeout(1800)

SECONDS = 60
STEPS = {"catalogue", "publisher", "lifecycle"}
CAME = STEPS | {"ingestion-trigger", "ingestion-worker"}
MADE = STEPS | {"execution"}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def operator(environment: Environment, cluster: client.ApiClient) -> Iterator[httpx.Client]:
    """The demo user, who is an operator, after a demo."""
    environment.refsys("demo", environment.name)
    found = environment.endpoints()
    trust = ssl.create_default_context(cafile=found["ca_file"])
    with httpx.Client(base_url=found["operations_url"], headers=environment.bearer(), verify=trust, timeout=30) as made:
        yield made


def published(operator: httpx.Client) -> list[str]:
    """Names of products, the newest first, as the PRIP shows them."""
    address = str(operator.base_url).rstrip("/").replace("//operations.", "//prip.")
    query = {"$orderby": "PublicationDate desc", "$top": "20"}
    answer = operator.get(f"{address}/odata/v1/Products", params=query).raise_for_status()
    return [each["Name"] for each in answer.json()["value"]]


def trace(operator: httpx.Client, name: str) -> Document:
    """The trace of a product, when its steps are in the store."""
    until = time.monotonic() + SECONDS
    while True:
        answer = operator.get(f"/operations/v1/products/{name}/trace")
        found: Document = answer.json()
        if answer.status_code == 200 and found["state"] == "published" and not found["gaps"]:
            return found
        assert time.monotonic() < until, (name, answer.status_code, found)
        time.sleep(2)


def processes(found: Document) -> set[str]:
    """Those that had part in a trace."""
    return {step["process"] for step in found["steps"]}


def test_traces_of_the_demos_products_have_every_step_and_no_gap(operator: httpx.Client) -> None:
    names = published(operator)
    assert len(names) >= 10
    downloaded = 0
    for name in names:
        found = trace(operator, name)
        by = processes(found)
        assert by >= MADE or (by >= CAME and found["steps"][0]["name"] == "seen"), (name, by)
        assert {step["status"] for step in found["steps"]} == {"ok"}
        downloaded += "prip" in by
    # Not what an order made once more.
    assert downloaded >= 10


@pytest.mark.parametrize("worker", ["ingestion-worker", "compression-worker"])
def test_a_name_leads_to_trace_logs_and_rows(operator: httpx.Client, worker: str) -> None:
    name = next(each for each in published(operator) if worker in processes(trace(operator, each)))
    found = operator.get(f"/operations/v1/products/{name}").raise_for_status().json()
    assert (found["trace"]["state"], found["published"]["online"], found["deadLetters"]) == ("published", True, [])
    assert found["catalogue"]["state"] == "VALID"
    assert found["logs"]["count"] > 0
    logs = operator.get(found["logs"]["href"]).raise_for_status().json()
    assert {each["program"] for each in logs["value"]} >= {worker, "catalogue", "publisher"}
