"""What the search understands of requests, and how it tells what is wrong; the database is not asked here."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from fastapi import Request
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from refsys.services.common.operations import Health
from refsys.services.distribution.auth import Identity
from refsys.services.search.app import create_app
from refsys.services.search.policies import Policy
from refsys.services.search.selection import selected

PERIOD = {"start": "2024-01-01T00:00:00Z", "stop": "2024-01-02"}
START, STOP = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)
DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types


class Anyone:
    """Takes every caller for one of the given role."""

    def __init__(self, role: str) -> None:
        self._role = role

    async def identify(self, _: Request) -> Identity:
        return Identity("someone", frozenset([self._role]), 9e9)


def ask(method: str, path: str, parameters: dict[str, Any], role: str = "operator") -> tuple[httpx.Response, MagicMock]:
    products = MagicMock()
    products.named.return_value = None
    products.invalid.return_value = (0, [])
    for each in ("selected", "matching", "valid_in", "segments", "session"):
        getattr(products, each).return_value = []
    authenticator: Any = Anyone(role)
    app = create_app(products, MagicMock(), MagicMock(), authenticator, Health())

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            return await client.request(method, path, params=parameters)

    return asyncio.run(answer()), products


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("/AUX_RESORB/searchAuxiliary", PERIOD, 200),
        ("/AUX_RESORB/searchAuxiliary", {}, 400),
        ("/AUX_RESORB/searchAuxiliary", PERIOD | {"start": "x"}, 400),
        ("/AUX_RESORB/searchAuxiliary", PERIOD | {"start": "2025-01-01"}, 400),
        ("/AUX_RESORB/searchAuxiliary", PERIOD | {"start": "0001-01-01T00:00:00Z", "before": 60}, 400),
        ("/AUX_RESORB/searchAuxiliary", PERIOD | {"before": -1}, 400),
        ("/AUX_RESORB/searchAuxiliary", PERIOD | {"mode": "Best"}, 400),
        ("/aux/searchAuxiliary", PERIOD, 400),
        ("/metadata/NOTHING/query", {}, 404),
        ("/metadata/L0_SLICE/query", {"attribute": ["a:1", "b:x"], "top": 5}, 200),
        ("/metadata/L0_SLICE/query", {"attribute": "nothing"}, 400),
        ("/metadata/L0_SLICE/query", {"top": 1001}, 400),
        ("/metadata/L0_SLICE/query", {"satellite": "S9X"}, 400),
        ("/metadata/L0_SLICE/search", PERIOD | {"productType": "IW_RAW__0S"}, 200),
        ("/metadata/L0_SLICE/searchInterval", PERIOD, 200),
        ("/metadata/L0_SLICE/searchTypeInterval", PERIOD, 400),
        ("/metadata/L0_SLICE/searchProductName", {}, 400),
        ("/metadata/L0_SLICE/searchProductName", {"productName": "x"}, 404),
        ("/edrsSession/sessionId/x", {}, 200),
        ("/l0Slice/x", {}, 404),
        ("/l0Slice/x/acns", {}, 404),
        ("/l0Slice/%00", {}, 400),
        ("/level_segment/137013", {}, 200),
        ("/level_segment/x", {}, 400),
        ("/s3metadata/OL_0_EFR___/range", PERIOD, 200),
        ("/s3metadata/OL_0_EFR___/orbit", {}, 400),
        ("/operations/v1/invalid", {"family": "L0_SLICE"}, 200),
        ("/nothing", {}, 404),
    ],
)
def test_requests_are_understood_or_told_what_is_wrong(path: str, parameters: dict[str, Any], status: int) -> None:
    answer, _ = ask("GET", path, parameters)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/AUX_RESORB/searchAuxiliary"),
        ("GET", "/operations/v1/invalid"),
        ("POST", "/operations/v1/invalid/x/retry"),
        ("DELETE", "/metadata/L0_SLICE/deleteProduct"),
    ],
)
def test_users_who_are_no_operators_are_refused_before_anything_else(method: str, path: str) -> None:
    answer, products = ask(method, path, {}, role="prip-user")
    assert answer.status_code == 403
    assert products.mock_calls == []


def test_parameters_arrive() -> None:
    _, products = ask("GET", "/level_segment/0x021735", {"satellite": "S1A"})
    products.segments.assert_called_once_with(137013, "S1A")
    parameters = PERIOD | {"mode": "ClosestStopValidity", "before": 3600}
    _, products = ask("GET", "/AUX_RESORB/searchAuxiliary", parameters)
    policy, period, conditions, top = products.selected.call_args.args
    assert policy is Policy.CLOSEST_STOP
    assert period == (datetime(2023, 12, 31, 23, tzinfo=UTC), STOP)
    assert (len(conditions), top) == (1, 100)


@pytest.mark.parametrize("policy", Policy)
def test_every_policy_uses_the_conditions_of_the_indexes(policy: Policy) -> None:
    sql = str(selected(policy, START, STOP, []).compile(dialect=DIALECT))
    assert "catalogue.product.state = 'VALID'" in sql
    if not policy.startswith("Closest") and policy is not Policy.LATEST:  # these are by another index
        assert "tstzrange(catalogue.product.content_start, catalogue.product.content_end, '[]')" in sql
