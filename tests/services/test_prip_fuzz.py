"""No request makes the PRIP fail: requests at random against the application on real PostgreSQL.

1 500 unless told otherwise: `REFSYS_FUZZ_REQUESTS=50000 pytest tests/services/test_prip_fuzz.py`.
"""

import os
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.means.issuer import authenticator, bearer
from tests.services.fuzzing import INSIDE
from tests.services.odata_grammar import options, paths

from refsys.services.common.operations import Health
from refsys.services.common.settings import QuotaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.app import create_app
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas
from refsys.services.distribution.repository import Products

pytest_plugins = ("tests.services.prip",)

REQUESTS = int(os.environ.get("REFSYS_FUZZ_REQUESTS", "1500"))
EXPECTED = {200, 400, 404, 405, 416, 422}


@pytest.fixture
def app(engine: Engine, store: ObjectStore, five: list[str]) -> Iterator[TestClient]:
    downloads = Downloads(store, Quotas(engine, QuotaSettings(requests_per_minute=10**9)))
    application = create_app(Products(engine), downloads, authenticator(), "https://prip.example.test", Health())
    with TestClient(application, headers=bearer(), raise_server_exceptions=False) as client:
        yield client


def test_no_request_makes_it_fail(app: TestClient) -> None:
    seen: Counter[int] = Counter()

    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(paths, options)
    def send(path: str, pairs: list[tuple[str, str]]) -> None:
        address = f"{quote(path, safe='/$()')}?{urlencode(pairs)}"
        answer = app.get(address)
        seen[answer.status_code] += 1
        assert answer.status_code in EXPECTED, (address, answer.text)
        if answer.is_client_error:
            error = answer.json()["error"]
            assert error["code"]
            assert len(error["message"]) > 10
            assert answer.status_code != 400 or error["target"]
            assert not INSIDE.search(error["message"]), (address, error["message"])

    send()
    assert sum(seen.values()) >= REQUESTS
    assert seen[200] > REQUESTS // 50
    assert seen[400] > REQUESTS // 50


@given(body=st.binary(max_size=200))
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_no_body_makes_the_action_fail(app: TestClient, body: bytes) -> None:
    answer = app.post("/odata/v1/Products/OData.CSC.FilterList", content=body)
    assert answer.status_code in {200, 400}
