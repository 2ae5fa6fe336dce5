"""No request makes a REST service fail: requests after the OpenAPI documents, and at random, on real PostgreSQL and S3.

1 200 unless told otherwise: `REFSYS_FUZZ_REQUESTS=50000 pytest tests/services/test_rest_fuzz.py`.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import strategies as st
from schemathesis import GenerationMode
from sqlalchemy import Engine
from tests.means.issuer import authenticator, bearer
from tests.services.fuzzing import Fuzz, operations_of
from tests.services.kept import NO_ALERTS
from tests.services.log_store_clients import StoreOf
from tests.services.prip import PUBLIC_URL
from tests.unit.services.apis.endpoints import API_KEY, ROLES, Endpoint, endpoints

from refsys.services.cadip.app import create_app as cadip
from refsys.services.common.bus import Producer
from refsys.services.common.operations import Health
from refsys.services.common.settings import (
    ApiKeySettings,
    DeliverySettings,
    IngestorSettings,
    KafkaSettings,
    OnDemandSettings,
    QuotaSettings,
)
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.app import create_app as prip
from refsys.services.distribution.delivery import api as delivery
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas
from refsys.services.distribution.repository import Products
from refsys.services.ingestor.app import create_app as ingestor
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.uploads import Uploads
from refsys.services.metrics.prometheus import Prometheus
from refsys.services.ondemand.app import create_app as ondemand
from refsys.services.ondemand.documents import Addresses as OrderAddresses
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.processes import Processes
from refsys.services.operations.app import create_app as operations
from refsys.services.overview.gather import Sources
from refsys.services.overview.overview import Overview
from refsys.services.search.app import create_app as search
from refsys.services.search.database import bound_statements
from refsys.services.search.deletion import Deletions
from refsys.services.search.repository import Catalogued

pytest_plugins = ("tests.services.prip",)

REQUESTS = int(os.environ.get("REFSYS_FUZZ_REQUESTS", "1200"))
HEADERS = bearer("olga", ROLES) | {"ApiKey": API_KEY, "Tus-Resumable": "1.0.0"}
NAMES = (
    "key", "name", "filename", "checksum", "state", "after", "limit", "rule", "path", "productType", "t0", "t1", "dt0",
    "dt1", "mode", "satelliteId", "intervalStart", "intervalStop", "startDate", "stopDate", "timeliness", "family",
    "ids", "names", "action", "Status", "FilterParam", "NotificationEndpoint", "StageOrder", "Priority", "$filter",
    "$top", "$skip", "$skiptoken", "$orderby", "$ackid", "FilterProducts", "message", "comment", "pattern",
)  # fmt: skip
TYPES = ("application/json", "application/offset+octet-stream", "text/plain", "application/x-www-form-urlencoded", "/")


@pytest.fixture
def applications(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    delivery_settings: DeliverySettings,
    kafka_settings: Callable[[str], KafkaSettings],
    store_of: StoreOf,
    metrics: Prometheus,
    five: list[str],
    tmp_path: Path,
) -> dict[str, FastAPI]:
    """Every service with a REST interface, over the database, the store and the bus."""
    assert five
    key_file = tmp_path / "api-key"
    key_file.write_text(API_KEY)
    (tmp_path / "volume").mkdir()
    realm, health = authenticator(), Health()
    downloads = Downloads(store, Quotas(engine, QuotaSettings(requests_per_minute=10**9, bytes_per_month=10**15)))
    producer = Producer(kafka_settings("metadata-search"), "metadata-search")
    bound_statements(engine)
    uploads = Uploads(engine, IngestorSettings(folder=tmp_path / "volume", max_bytes=1000))
    made = {
        "prip": prip(Products(engine), downloads, realm, PUBLIC_URL, health),
        "cadip": cadip(Entities(engine), downloads, realm, PUBLIC_URL, health),
        "metadata": search(Catalogued(engine), Deletions(engine, store), producer, realm, health),
        "ingestor": ingestor(uploads, Volume(uploads, lambda: None), realm, health),
        "ondemand": ondemand(
            Orders(
                engine,
                Endpoints(Cipher(delivery_settings.key_file), Guard(delivery_settings.allowed_networks)),
                OnDemandSettings(),
            ),
            Processes(engine),
            realm,
            OrderAddresses("https://ondemand.example.test/ogc", "https://prip.example.test"),
            health,
        ),
        "operations": operations(
            engine,
            store_of("operations"),
            metrics,
            Overview(Sources(metrics, NO_ALERTS, engine)),
            realm,
            ApiKeySettings(api_key_file=key_file),
            health,
        ),
    }
    delivery.attach(made["prip"], engine, delivery_settings)
    return made


def told(body: Any) -> str:
    """What the error tells its reader."""
    return str(body["error"]["message"] if "error" in body else body["detail"])


@pytest.mark.parametrize(
    "service",
    [*("prip", "cadip", "metadata", "ingestor", "operations"), pytest.param("ondemand", marks=pytest.mark.long)],
)
def test_no_request_makes_the_service_fail(service: str, applications: dict[str, FastAPI], five: list[str]) -> None:
    app = applications[service]
    described = operations_of(schemathesis.openapi.from_dict(app.openapi()))
    every = list(endpoints(service, app))
    share = max(2, REQUESTS // (5 * 3 * len(every)))
    with TestClient(app, headers=HEADERS, raise_server_exceptions=False) as client:
        fuzz = Fuzz(client, HEADERS, told)
        for operation in described:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.POSITIVE or operation.query or operation.body:
                    fuzz.send(fuzz.operation(operation, mode), share)
        for endpoint in every:
            fuzz.send(anything(endpoint, five), share)
    assert fuzz.statuses.keys() & {200, 201, 204}, fuzz.statuses
    assert fuzz.statuses.keys() & {400, 404, 422}, fuzz.statuses


def anything(endpoint: Endpoint, known: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Requests to an endpoint with what it may ask for, and with rubbish."""
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    dates = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    scalars = st.one_of(texts, st.sampled_from(known), st.integers().map(str), dates, st.uuids().map(str))
    values = st.one_of(scalars, st.integers(), st.floats(), st.booleans(), st.none())
    objects = st.recursive(
        st.dictionaries(st.one_of(st.sampled_from(NAMES), texts), values, max_size=5),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner)),
        max_leaves=4,
    )
    bodies = st.one_of(st.none(), st.binary(max_size=200), objects.map(lambda value: json.dumps(value).encode()))
    printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
    numbers = st.integers(-1, 2000).map(str)
    headers = st.fixed_dictionaries(
        {},
        optional={
            "Content-Type": st.sampled_from(TYPES),
            "Upload-Length": st.one_of(numbers, printable),
            "Upload-Offset": st.one_of(numbers, printable),
            "Upload-Metadata": printable,
            "Range": st.one_of(printable, st.builds("bytes={}-{}".format, st.integers(), st.integers())),
            "If-Range": printable,
            "If-None-Match": printable,
        },
    )
    keys = st.one_of(scalars, st.sampled_from([str(UUID(int=1)), "0", "..", "%00", "'", "1" * 5000]))
    return st.builds(
        lambda fill, params, body, more: {
            "method": endpoint.method,
            "url": re.sub(r"\{[^}]+\}", lambda _: quote(next(fill), safe=""), endpoint.path),
            "params": params,
            "content": body,
            "headers": more,
        },
        st.lists(keys, min_size=4, max_size=4).map(iter),
        st.dictionaries(st.sampled_from(NAMES), scalars, max_size=4),
        bodies,
        headers,
    )
