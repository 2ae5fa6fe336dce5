"""What the tests of preparation share: catalogued products with their events, and what is known of jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Engine, insert, select, text, update

from refsys.services.catalogue.service import catalog_event, product_id
from refsys.services.catalogue.tables import VALID, Product
from refsys.services.common.families import BUCKETS
from refsys.services.common.messages import CatalogEvent, utc_now
from refsys.services.common.names import parse_name
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.shelf import Shelf, shipped
from refsys.services.production.tables import Job, OpenInput

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ENABLED = Shelf({name: chain.model_copy(update={"enabled": True}) for name, chain in shipped().items()})
SLICE = "S1A_IW_RAW__0SDV_20261101T120000_20261101T120032_050000_060000_AB12.SAFE"
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
AUX = "S1A_AUX_{}_V20200101T000000_G20200101T000000.SAFE"


class NoMasks:
    """Where no mask is asked for."""

    def percent(self, footprint: str, mask: Mapping[str, Any]) -> float:
        raise AssertionError


def stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}"


def orbit(kind: str, start: datetime = NOON - timedelta(hours=2), stop: datetime = NOON + timedelta(hours=2)) -> str:
    """The name of an orbit file of S1A."""
    return f"S1A_OPER_{kind}_OPOD_{stamp(NOON)}_V{stamp(start)}_{stamp(stop)}.EOF"


@dataclass
class Catalogued:
    """Puts products into the catalogue, and tells the preparation of them."""

    engine: Engine
    preparation: Preparation
    known: dict[str, CatalogEvent] = field(default_factory=dict)

    def add(self, name: str, family: str, **values: Any) -> CatalogEvent:
        """A product in the catalogue, and its event, which nobody has heard of yet."""
        told = parse_name(PurePosixPath(name).name)
        start = values.pop("start", told.start or NOON)
        stop = values.pop("stop", told.stop or start + timedelta(days=3650))
        attributes = values.pop("attributes", {})
        mission = values.pop("mission", told.mission)
        given = {
            "id": product_id(name),
            "name": name,
            "family": family,
            "mission": mission,
            "satellite": values.pop("satellite", told.satellite_id),
            "product_type": told.product_type,
            "station": "MTI_",
            "size": 1000,
            "checksums": [],
            "bucket": BUCKETS[family],
            "key": name,
            "content_start": start,
            "content_end": stop,
            "attributes": [
                {"name": key, "type": "Integer" if isinstance(value, int) else "String", "value": value}
                for key, value in attributes.items()
            ],
            "trace": {"stored": utc_now().isoformat(), "station_publication": utc_now().isoformat()},
            "additional_fields": {},
            "state": VALID,
            "generated": told.generated,
            "datatake_id": attributes.get("datatakeID"),
            "orbit_start": attributes.get("orbitNumber"),
            "timeliness": "",
            "details": {},
            **values,
        }
        with self.engine.begin() as connection:
            row = connection.execute(insert(Product).returning(Product.__table__), given).mappings().one()
        self.known[name] = catalog_event(row)
        return self.known[name]

    def come(self, name: str, family: str, **values: Any) -> CatalogEvent:
        """A product is catalogued, and its event taken."""
        event = self.add(name, family, **values)
        self.preparation.take(event)
        return event


def jobs(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(select(Job.__table__).order_by(Job.task_table, Job.trigger)).mappings()
        return [dict(row) for row in rows]


def job(engine: Engine) -> dict[str, Any]:
    (found,) = jobs(engine)
    return found


def opened(engine: Engine) -> list[tuple[int, str]]:
    """Input and product type of all that is waited for."""
    with engine.connect() as connection:
        statement = select(OpenInput.input, OpenInput.product_type).order_by(OpenInput.input, OpenInput.alternative)
        return [(row.input, row.product_type) for row in connection.execute(statement)]


def inputs(found: Mapping[str, Any]) -> set[str]:
    """The names of a job's inputs."""
    return {each["name"] for each in found["order"]["inputs"]}


def hours_ago(engine: Engine, hours: float) -> None:
    """All jobs began, and what made them came in, so much earlier than now."""
    moment = datetime.now(UTC) - timedelta(hours=hours)
    with engine.begin() as connection:
        connection.execute(update(Job).values(since=moment, due=text("now()")))
        connection.execute(update(OpenInput).values(useful=None))
        for name in ("ingestion", "downlink"):
            connection.execute(
                text("UPDATE production.job SET facts = jsonb_set(facts, ARRAY[:name], to_jsonb(:moment ::text))"),
                {"name": name, "moment": moment.isoformat()},
            )
