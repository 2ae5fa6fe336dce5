"""`$filter` → SQL: what clients send, as the PRIP ICD and the field have it."""

import re

import pytest
import shapely
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import psycopg

from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.odata.filter import where

GUID = "2b17b57d-fff4-4645-b539-91f305c27c69"
STRING = "Attributes/OData.CSC.StringAttribute/any(att:att/Name eq '{}' and att/OData.CSC.StringAttribute/Value {})"
INTEGER = "Attributes/OData.CSC.IntegerAttribute/any(a:a/Name eq '{}' and a/OData.CSC.IntegerAttribute/Value {})"
DIALECT: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types


def sql(text: str) -> str:
    """The condition with its values in place, without casts and table names."""
    compiled = where(text).compile(dialect=DIALECT)
    shown = re.sub(r"::[A-Z ]+?(?=\b(?:AND|OR|COLLATE|AS|IS)\b|[),\s]|$)", "", str(compiled))
    for name, value in compiled.params.items():
        shown = shown.replace(f"%({name})s", repr(value)).replace(f"(__[POSTCOMPILE_{name}])", repr(value))
    return " ".join(shown.replace("distribution.product.", "").split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Name eq 'a'", "name = 'a'"),
        ("'a' eq Name", "name = 'a'"),
        ("Name eq 'it''s'", 'name = "it\'s"'),
        ("5 lt ContentLength", "content_length > 5"),
        ("ContentLength gt 5000000000", "content_length > 5000000000"),
        ("Online eq true", "online = True"),
        ("not Online", "online IS NOT true"),
        ("not(Online)", "online IS NOT true"),
        ("not (Name eq 'a')", "(name = 'a') IS NOT true"),
        ("Online eq true and(Name eq 'a' or Name eq 'b')", "online = True AND (name = 'a' OR name = 'b')"),
        ("Name eq 'a' OR Name eq 'b'", "name = 'a' OR name = 'b'"),
        ("\"Name eq 'a' OR Name eq 'b'\"", "name = 'a' OR name = 'b'"),
        ("Name in ('a','b')", "name IN ['a', 'b']"),
        ("Name in ('a')", "name IN ['a']"),
        ("Name in('a')", "name IN ['a']"),
        ("Name not in ('a','b')", "(name IN ['a', 'b']) IS NOT true"),
        ("not Name in ('a')", "(name IN ['a']) IS NOT true"),
        ("EvictionDate eq null", "eviction_date IS NULL"),
        ("EvictionDate ne null", "eviction_date IS NOT NULL"),
        ("startswith(Name,'S1A_')", r"name LIKE 'S1A\\_%' COLLATE " + '"C"'),
        ("contains(Name, 'x')", "name LIKE '%x%' COLLATE " + '"C"'),
        ("not endswith(Name,'%')", r"(name LIKE '%\\%' COLLATE " + '"C") IS NOT true'),
        ("startswith(Name,'x') eq true", "(name LIKE 'x%' COLLATE " + '"C") = True'),
        ("indexof(Name,'x') eq 3", "strpos(name, 'x') - 1 = 3"),
        ("length(Name) ge 3", "length(name) >= 3"),
        ("concat(Name,'x') eq 'y'", "(name || 'x') = 'y'"),
        ("tolower(Name) eq 'a' and toupper(trim(Name)) eq 'B'", "lower(name) = 'a' AND upper(btrim(name)) = 'B'"),
        ("matchesPattern(Name,'^S1[A-D]')", "name ~ '^S1[A-D]'"),
        ("Collection/Name eq 'SENTINEL-1'", "mission = 'S1'"),
        (STRING.format("productType", "eq 'IW'"), "product_type = 'IW'"),
        (
            STRING.format("timeliness", "eq 'NRT'"),
            "attributes @> CAST({'timeliness': {'value': 'NRT'}} AS JSONB)",
        ),
        (
            INTEGER.format("orbitNumber", "ge 43829"),
            "distribution.attribute_number(attributes, 'orbitNumber') >= 43829",
        ),
    ],
)
def test_translation(text: str, expected: str) -> None:
    assert sql(text) == expected


@pytest.mark.parametrize("literal", ["systematic_production", "OData.CSC.ProductionType'systematic_production'"])
def test_enumeration_literals(literal: str) -> None:
    quoted = literal if literal.endswith("'") else f"'{literal}'"
    assert sql(f"ProductionType eq {quoted}") == "production_type = 'systematic_production'"


@pytest.mark.parametrize(
    ("text", "range_operator"),
    [
        ("ContentDate/Start ge 2024-01-01 and ContentDate/End lt 2024-01-02", "<@"),
        ("ContentDate/End gt 2024-01-01T00:00:00Z and Online and ContentDate/Start le 2024-01-02", "&&"),
        ("ContentDate/Start ge 2024-01-02 and ContentDate/End le 2024-01-01", None),
        ("ContentDate/Start ge 2024-01-01 or ContentDate/End lt 2024-01-02", None),
        ("ContentDate/Start ge 2024-01-01", None),
    ],
)
def test_periods_are_found_by_their_index(text: str, range_operator: str | None) -> None:
    assert [each for each in ("<@", "&&") if each in sql(text)] == ([range_operator] if range_operator else [])


def test_guid_needs_no_quotes() -> None:
    assert sql(f"Id eq {GUID}") == sql(f"Id eq '{GUID}'") == f"id = UUID('{GUID}')"


@pytest.mark.parametrize(
    "date", ["2022-06-26T00:00:00.000Z", "2022-06-26T00:00:00Z", "2022-06-26", "2022-06-26T02:00:00+02:00"]
)
def test_dates_with_and_without_fraction(date: str) -> None:
    condition = where(f"ContentDate/Start ge {date}").compile(dialect=DIALECT)
    (moment,) = condition.params.values()
    assert moment.isoformat() in {"2022-06-26T00:00:00+00:00", "2022-06-26T02:00:00+02:00"}


@pytest.mark.parametrize(
    "text",
    [
        # eodag: integer lambda, string cast
        "Attributes/OData.CSC.IntegerAttribute/any(a:a/Name eq 'orbitNumber' "
        "and a/OData.CSC.StringAttribute/Value eq 5)",
        # a string where an integer is meant
        "Attributes/OData.CSC.IntegerAttribute/any(a:a/Name eq 'orbitNumber' "
        "and a/OData.CSC.IntegerAttribute/Value eq '5')",
        # a string lambda with a number
        "Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'orbitNumber' "
        "and a/OData.CSC.StringAttribute/Value eq 5)",
        # the older form of pygssearch
        "IntegerAttributes/any(d:d/Name eq 'orbitNumber' and d/Value eq 5)",
        # the attribute used as a property
        "orbitNumber eq 5",
    ],
)
def test_sloppy_attribute_forms(text: str) -> None:
    assert sql(text) == "distribution.attribute_number(attributes, 'orbitNumber') = 5"


def test_string_lambda_finds_integer_attribute() -> None:
    assert sql(STRING.format("cycleNumber", "eq '265'")) == (
        "(attributes @> CAST({'cycleNumber': {'value': '265'}} AS JSONB)) "
        "OR (attributes @> CAST({'cycleNumber': {'value': 265}} AS JSONB))"
    )


def test_negation_inside_lambda_needs_the_attribute() -> None:
    text = "Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'x' and not (a/Value eq 'y'))"
    assert sql(text).startswith("(attributes ? 'x') AND")


def test_values_are_parameters_only() -> None:
    text = "Name eq 'x''; DROP TABLE product; --' and " + STRING.format("a''); DROP", "gt 'b'")
    assert "DROP" not in str(where(text).compile(dialect=DIALECT))


def test_hundreds_of_names() -> None:
    assert where(" or ".join(f"Name eq '{number}'" for number in range(700))) is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("Name eq", "position 5"),
        ("Name eq ", "position 5"),
        ("Name foo 'x'", "position 5"),
        ("Name eq ?", "position 9"),
        ("(Name eq 'x'", "ends too early"),
        ("Nam eq 'x'", "property Nam is not known"),
        ("ContentLength gt 'abc'", "'abc' is not a value of type Number"),
        ("Name gt null", "null"),
        ("Online gt true", "no order"),
        ("not Name eq 'x'", "binds stronger"),
        ("ContentLength add 2 eq 4", "not supported"),
        ("year(PublicationDate) eq 2020", "year is not supported"),
        ("contains(Name) eq true", "takes 2 arguments"),
        ("startswith(ContentLength,'1')", "cannot be compared as String"),
        ("PublicationDate gt 2022-02-31T00:00:00Z", "not a value of type DateTimeOffset"),
        ("ProductionType eq 'x'", "is one of"),
        ("Name", "cannot be compared as Boolean"),
        ("Name eq 'a\0'", "not a value"),
        ("Foo.Bar(area=geography'POINT(0 0)')", "not known"),
        ("Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'x' or a/Name eq 'y')", "exactly one a/Name"),
        ("Attributes/OData.CSC.StringAttribute/any(a:a/Value eq 'x')", "exactly one a/Name"),
        ("Attributes/OData.CSC.FooAttribute/any(a:a/Name eq 'x')", "the types are"),
        ("Attributes/OData.CSC.StringAttribute/any()", "give a condition"),
        ("Attributes/any(a:a/Name eq 'x' and Attributes/any(b:b/Name eq 'y'))", "cannot be nested"),
        ("Checksum/any(c:c/Name eq 'x')", "Name"),
        ("Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'x' and a/Foo eq 'y')", "Foo is not known"),
        ("ContentDate/startswith(Name,'x')", "cannot be understood"),
        ("OData.CSC.Intersects(area=geography'SRID=3857;POINT(0 0)')", "SRID=4326"),
        ("OData.CSC.Intersects(area=geography'SRID=4326;POINT(10 100)')", "latitudes"),
        ("OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((0 0,1 1)')", "not WKT"),
        ("OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((0 0,1 1,1 0,0 1,0 0))')", "Self-intersection"),
        ("not(" * 2000 + "Online" + ")" * 2000, "nested too deeply"),
        ("Name eq '" + "x" * 20000 + "'", "at most"),
    ],
)
def test_refusals_say_why(text: str, reason: str) -> None:
    with pytest.raises(ODataError) as caught:
        where(text)
    assert caught.value.status == 400
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("area", "cut"),
    [
        ("POINT(190 5)", "POINT (-170 5)"),
        ("LINESTRING(170 0,-170 0)", "MULTILINESTRING ((-180 0, -170 0), (170 0, 180 0))"),
        # clockwise on the map and wider than half the globe: over the dateline
        ("POLYGON((170 0,-170 0,-170 5,170 5,170 0))", (-180, -170, 170, 180)),
        ("POLYGON((170 0,190 0,190 5,170 5,170 0))", (-180, -170, 170, 180)),
        # the other way round it is what it seems to be
        ("POLYGON((-170 0,170 0,170 5,-170 5,-170 0))", (-170, 170)),
        ("POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90))", (-180, 180)),
        ("POLYGON((-180 -90,-180 90,180 90,180 -90,-180 -90))", (-180, 180)),
    ],
)
def test_areas_over_the_dateline(area: str, cut: str | tuple[int, ...]) -> None:
    condition = where(f"OData.CSC.Within(area=geography'SRID=4326;{area}')").compile(dialect=DIALECT)
    shape = next(value for value in condition.params.values() if isinstance(value, str))
    if isinstance(cut, str):
        assert shape == cut
    else:
        parts = shapely.get_parts(shapely.from_wkt(shape))
        assert sorted({lon for part in parts for lon in (part.bounds[0], part.bounds[2])}) == list(cut)
