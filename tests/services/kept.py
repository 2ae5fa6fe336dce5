"""Products as the chain leaves them: object, catalogue row, published; and a client of the operators' API."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from pydantic import HttpUrl
from sqlalchemy import Engine, insert, select
from tests.means.issuer import authenticator, bearer
from tests.services.published import BUCKET, event

from refsys.services.catalogue.service import catalog_event, product_id
from refsys.services.catalogue.tables import VALID, Product
from refsys.services.common.messages import CatalogEvent
from refsys.services.common.operations import Health
from refsys.services.common.settings import AlertmanagerSettings, ApiKeySettings, LogStoreSettings, PrometheusSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.auth import OPERATOR
from refsys.services.distribution.publisher import publish
from refsys.services.logs.store import LogStore
from refsys.services.metrics.alertmanager import FiringAlerts
from refsys.services.metrics.prometheus import Prometheus
from refsys.services.operations.app import create_app
from refsys.services.overview.gather import Sources
from refsys.services.overview.overview import Overview

API_KEY = "key of the tests"
NO_LOGS = LogStore(LogStoreSettings(url=HttpUrl("http://127.0.0.1:1")))
NO_METRICS = Prometheus(PrometheusSettings(url=HttpUrl("http://127.0.0.1:1")))
NO_ALERTS = FiringAlerts(AlertmanagerSettings(url=HttpUrl("http://127.0.0.1:1")))


def name_of(number: int, kind: str = "AUX_RESORB") -> str:
    return f"S1A_OPER_{kind}_OPOD_20240101T{number:06d}_V20240101T000000_20240101T010000.EOF"


def keep(engine: Engine, store: ObjectStore, name: str, content: bytes = b"content", **changes: Any) -> CatalogEvent:
    """Store, catalogue and publish a product; returns its catalogue event."""
    store.put(BUCKET, name, [content], len(content))
    kept = catalogue(engine, name, content, **changes)
    publish(engine, kept)
    return kept


def catalogue(engine: Engine, name: str, content: bytes = b"content", **changes: Any) -> CatalogEvent:
    """Catalogue a product; returns its event."""
    given = event(name, content, product_id=product_id(name), **changes)
    bucket = given.storage_path.split("/")[2]
    with engine.begin() as connection:
        connection.execute(
            insert(Product).values(
                id=given.product_id,
                name=name,
                family=given.product_family,
                mission=given.mission_id,
                satellite=given.satellite_id,
                product_type="AUX_RESORB",
                station=given.station_name,
                size=given.product_size_byte,
                checksums=[item.model_dump(mode="json") for item in given.checksums],
                bucket=bucket,
                key=name,
                content_start=given.content_date_start,
                content_end=given.content_date_end,
                attributes=[item.model_dump(mode="json") for item in given.attributes],
                trace=given.trace.model_dump(mode="json"),
                additional_fields={},
                state=VALID,
                created=given.creation_date,
            )
        )
        row = connection.execute(select(Product.__table__).where(Product.name == name)).mappings().one()
    return catalog_event(row)


@contextmanager
def operations_api(
    engine: Engine, folder: Path, log_store: LogStore = NO_LOGS, overview: Overview | None = None
) -> Iterator[TestClient]:
    """The operators' API; the realm's keys are the test's own."""
    key_file = folder / "api-key"
    key_file.write_text(API_KEY + "\n")
    overview = overview or Overview(Sources(NO_METRICS, NO_ALERTS, engine))
    key = ApiKeySettings(api_key_file=key_file)
    app = create_app(engine, log_store, NO_METRICS, overview, authenticator(), key, Health())
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers.update(bearer("olga", [OPERATOR]))
        yield client
