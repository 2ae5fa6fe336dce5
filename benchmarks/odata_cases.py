"""The usual queries of clients of a PRIP, for `bench_odata.py`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import Engine, select
from tests.means.published import FIRST, SECONDS_BETWEEN

from refsys.services.distribution.model import product

STRING = "Attributes/OData.CSC.StringAttribute/any(a:a/Name eq '{}' and a/OData.CSC.StringAttribute/Value {})"
INTEGER = "Attributes/OData.CSC.IntegerAttribute/any(a:a/Name eq '{}' and a/OData.CSC.IntegerAttribute/Value {})"


@dataclass(frozen=True)
class Case:
    """A usual query; `{day}`, `{next}`, `{recent}`, … stand for values that change with each request."""

    what: str
    filter: str
    options: str = "$orderby=PublicationDate asc&$top=100"


def _type(name: str) -> str:
    return STRING.format("productType", f"eq '{name}'")


_AREA = "OData.CSC.Intersects(area=geography'SRID=4326;{area}')"
_EODAG = "$orderby=ContentDate/Start asc&$top=20&$expand=Attributes&$expand=Assets"

CASES = (
    Case("poll of a client", "PublicationDate gt {recent}"),
    Case(
        "poll, auxiliary",
        "(startswith(Name,'S1A_OPER_AUX_') or contains(Name,'AUX_')) and PublicationDate gt {recent}",
    ),
    Case("a month by publication", "PublicationDate gt {day} and PublicationDate lt {month}"),
    Case("by name", "Name eq '{name}'"),
    Case("by name in a list", "Name in ('{name}','{name2}')"),
    Case("by part of the name", "contains(Name,'{unique}')"),
    Case(
        "by prefix since a date",
        "startswith(Name,'S1A_IW_') and PublicationDate gt {day}",
        "$orderby=PublicationDate desc&$top=10",
    ),
    Case("all of a satellite and mode", "startswith(Name,'S1A_EW_')"),
    Case("by type", _type("IW_RAW__0S")),
    Case("by type and day", _type("IW_SLC__1S") + " and ContentDate/Start ge {day} and ContentDate/End le {next}"),
    Case("by sensing period", "ContentDate/Start lt {next} and ContentDate/End gt {day}"),
    Case("by start, ordered by it", "ContentDate/Start gt {day}", "$orderby=ContentDate/Start asc&$top=100"),
    Case("by orbit", INTEGER.format("orbitNumber", "eq {orbit}")),
    Case(
        "by orbits and type",
        " and ".join(
            (
                INTEGER.format("orbitNumber", "ge {orbit}"),
                INTEGER.format("orbitNumber", "lt {orbit2}"),
                _type("IW_GRDH_1S"),
            )
        ),
    ),
    Case("by datatake", STRING.format("datatakeID", "eq '{datatake}'")),
    Case("by tile", STRING.format("tileId", "eq '{tile}'")),
    Case("a collection", "Collection/Name eq 'SENTINEL-3'", "$top=20&$expand=Attributes&$expand=Assets"),
    Case(
        "collection, type, area, month as eodag does",
        " and ".join(
            (
                "Collection/Name eq 'SENTINEL-1'",
                _type("IW_GRDH_1S"),
                _AREA,
                "ContentDate/Start ge {day}",
                "ContentDate/Start lt {month}",
            )
        ),
        _EODAG,
    ),
    Case("an area and a day", _AREA + " and ContentDate/Start gt {day} and ContentDate/Start lt {next}"),
    Case("by checksum", "Checksum/any(c:c/Algorithm eq 'MD5' and c/Value eq '{md5}')"),
)


def values(engine: Engine, random: Random, number: int) -> dict[str, str]:
    """Return what the cases' filters leave open, for one of `number` generated products at random."""
    n = random.randrange(number // 20, number)
    published = FIRST + timedelta(seconds=SECONDS_BETWEEN * n)
    with engine.connect() as connection:
        names = select(product.c.name).where(product.c.publication_date >= published)
        found = connection.execute(names.order_by(product.c.publication_date).limit(2)).scalars().all()
    first, second = found[0], found[-1]
    west, south = random.randrange(-30, 40), random.randrange(-40, 60)
    east, north = west + 8, south + 6
    return {
        "recent": _iso(FIRST + timedelta(seconds=SECONDS_BETWEEN * (number - random.randrange(1, 200)))),
        "day": _iso(published),
        "next": _iso(published + timedelta(days=1)),
        "month": _iso(published + timedelta(days=30)),
        "name": first,
        "name2": second,
        "unique": f"_{n:06X}",
        "orbit": str(40_000 + n // 200),
        "orbit2": str(40_000 + n // 200 + 15),
        "datatake": str(200_000 + n // 20),
        "tile": f"{1 + random.randrange(60):02d}{random.choice('CDEFGHJKLMNPQRSTUVWX')}{random.choice('ABCDEF')}A",
        "area": f"POLYGON(({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))",
        "md5": f"{n:032x}",
    }


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
