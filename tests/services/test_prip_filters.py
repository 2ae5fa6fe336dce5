"""`$filter` and the other query options on published products."""

import httpx
import pytest
from sqlalchemy import Engine
from tests.services.prip import ATTRIBUTE, SQUARE, found
from tests.services.published import event

from refsys.services.distribution.publisher import publish

pytest_plugins = ("tests.services.prip",)

MIXED_CASTS = (
    "Attributes/OData.CSC.IntegerAttribute/any("
    "att:att/Name eq 'cycleNumber' and att/OData.CSC.StringAttribute/Value eq 265)"
)
ALL = "Attributes/OData.CSC.{}Attribute/all(a:{})"

FILTERS: list[tuple[str, set[int]]] = [
    ("Name eq 'S1A_OPER_AUX_RESORB.EOF'", {0}),
    ("Name ne 'S1A_OPER_AUX_RESORB.EOF'", {1, 2, 3, 4}),
    ("Name eq 'S1D it''s odd.xml'", {4}),
    ("Name in ('S1A_OPER_AUX_RESORB.EOF','nothing')", {0}),
    ("Name in ('nothing')", set()),
    ("startswith(Name,'S1')", {0, 1, 4}),
    ("startswith(Name,'S1_')", set()),
    ("contains(Name, 'AUX_')", {0, 1, 2}),
    ("not endswith(Name,'.EOF')", {2, 3, 4}),
    ("not(endswith(Name,'.EOF'))", {2, 3, 4}),
    ("not (endswith(Name,'.EOF')) and contains(Name,'_')", {2, 3}),
    ("indexof(Name,'OPER') eq 4", {0, 1, 2}),
    ("length(Name) lt 20", {4}),
    ("substring(Name,0,3) eq 'S1C'", {1}),
    ("substring(Name,4) eq 'OPER_AUX_RESORB.EOF'", {0}),
    ("matchesPattern(Name,'^S[12][A-C]_')", {0, 1, 2}),
    ("tolower(Name) eq 's1a_oper_aux_resorb.eof'", {0}),
    ("toupper(trim(concat(Name,' '))) eq 'S1D IT''S ODD.XML'", {4}),
    ("ContentLength ge 3 and ContentLength lt 5", {2, 3}),
    ("ContentLength gt 5000000000", set()),
    ("Online eq true", {0, 1, 2, 3, 4}),
    ("not Online", set()),
    ("ContentType eq 'application/octet-stream'", {0, 1, 2, 3, 4}),
    ("EvictionDate eq null", {0, 1, 2, 3, 4}),
    ("ProductionType eq OData.CSC.ProductionType'systematic_production'", {0, 1, 2, 3, 4}),
    ("ProductionType eq 'on_demand_default'", set()),
    ("PublicationDate gt 2020-01-01T00:00:00.000Z and PublicationDate lt 2100-01-01", {0, 1, 2, 3, 4}),
    ("OriginDate eq 2024-01-01T00:00:00Z", {0, 1, 2, 3, 4}),
    ("ContentDate/Start gt 2024-01-01T02:00:00.000Z", {3, 4}),
    ("ContentDate/Start ge 2024-01-01T01:00:00Z and ContentDate/End le 2024-01-01T03:00:00Z", {1, 2}),
    ("ContentDate/Start lt 2024-01-01T01:30:00Z and ContentDate/End gt 2024-01-01T00:30:00Z", {0, 1}),
    (ATTRIBUTE.format("String", "productType", "eq 'AUX_RESORB'"), {0}),
    (ATTRIBUTE.format("String", "productType", "ne 'AUX_RESORB'"), {1, 2}),
    ("not (" + ATTRIBUTE.format("String", "productType", "eq 'AUX_RESORB'") + ")", {1, 2, 3, 4}),
    (ATTRIBUTE.format("Integer", "orbitNumber", "ge 8"), {0}),
    (ATTRIBUTE.format("Integer", "orbitNumber", "in (7,8)"), {1}),
    (ATTRIBUTE.format("Double", "cloudCover", "lt 1.6"), {2}),
    (ATTRIBUTE.format("Boolean", "valid", "eq true"), {4}),
    (ATTRIBUTE.format("DateTimeOffset", "processingDate", "ge 2024-01-01T00:00:00.000Z"), {3}),
    (ATTRIBUTE.format("DateTimeOffset", "processingDate", "gt 2024-01-01T00:00:00.000Z"), set()),
    ("Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'productType' and contains(a/Value,'POE'))", {1}),
    # what clients send against the letter
    (ATTRIBUTE.format("Integer", "cycleNumber", "eq '265'"), {4}),
    (ATTRIBUTE.format("String", "cycleNumber", "eq '265'"), {4}),
    (MIXED_CASTS, {4}),
    ("StringAttributes/any(d:d/Name eq 'productType' and d/Value eq 'AUX_ECMWFD')", {2}),
    ("orbitNumber eq 7 OR cycleNumber eq 265", {1, 4}),
    ("\"Name eq 'S1A_OPER_AUX_RESORB.EOF' OR Name eq 'S1C_OPER_AUX_POEORB.EOF'\"", {0, 1}),
    ("Collection/Name eq 'SENTINEL-1'", {0, 1, 4}),
    ("Name not in ('S1A_OPER_AUX_RESORB.EOF')", {1, 2, 3, 4}),
    ("not Name in ('S1A_OPER_AUX_RESORB.EOF','x')", {1, 2, 3, 4}),
    ("contains(Name,'AUX') eq false", {3, 4}),
    ("Id eq 00000000-0000-0000-0000-000000000000", set()),
    (ALL.format("String", "a/Name ne 'productType' or a/Value ne 'AUX_RESORB'"), {1, 2, 3, 4}),
    (ALL.format("Integer", "a/Value gt 100"), {0, 2, 3, 4}),
    (ALL.format("Boolean", "a/Value eq true"), {0, 1, 2, 3, 4}),
    (ALL.format("DateTimeOffset", "a/Value lt 2023-01-01T00:00:00Z"), {0, 1, 2, 4}),
    (ALL.format("Double", "a/Value eq 1.5"), {0, 1, 2, 3, 4}),
    (ALL.format("Double", "a/Value eq 2"), {0, 1, 3, 4}),
    ("Checksum/any(c:c/Algorithm eq 'MD5' and c/Value eq 'c4ca4238a0b923820dcc509a6f75849b')", {0}),
    ("Checksum/any(c:c/Algorithm eq 'SHA3-256')", set()),
    ("Checksum/any(c:startswith(c/Value,'c4ca'))", {0}),
    ("Checksum/all(c:c/ChecksumDate gt 2024-01-01T01:30:00Z)", {2, 3, 4}),
    ("Collection/Name in ('SENTINEL-1','SENTINEL-2')", {0, 1, 2, 4}),
    # geography
    (
        "Within(area=geography'SRID=4326;MULTIPOLYGON(((-1 -1,11 -1,11 11,-1 11,-1 -1)),((20 0,21 0,21 1,20 0)))')",
        {3},
    ),
    ("OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((170 -10,-170 -10,-170 10,170 10,170 -10))')", set()),
    ("OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((9 9,20 9,20 20,9 20,9 9))')", {3}),
    ("OData.CSC.Intersects(area=geography'SRID=4326;POINT (50 50)')", set()),
    ("OData.CSC.Within(area=geography'SRID=4326;POLYGON((-1 -1,11 -1,11 11,-1 11,-1 -1))')", {3}),
    ("OData.CSC.Disjoints(area=geography'SRID=4326;POINT(50 50)')", {3}),
    ("Intersects(location=Footprint,area=geography'SRID=4326;LINESTRING(-5 5,5 5)')", {3}),
]


def test_filters(client: httpx.Client, five: list[str]) -> None:
    expected = {text: [name for number, name in enumerate(five) if number in wanted] for text, wanted in FILTERS}
    assert {text: found(client, text) for text in expected} == expected


def test_malformed_queries(client: httpx.Client) -> None:
    for query, reason in {
        "$filter=Name eq": "position",
        "$filter=matchesPattern(Name,'[')": "matchesPattern",
        "$filter=Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'x' or a/Name eq 'y')": "exactly one",
        "$orderby=Nothing": "$orderby",
        "$top=x": "$top",
        "$select=Nothing": "$select",
        "$skiptoken=x": "$skiptoken",
    }.items():
        answer = client.get(f"/odata/v1/Products?{query}")
        assert answer.status_code == 400, query
        error = answer.json()["error"]
        assert reason in error["message"], query
        assert error["target"] == query.partition("=")[0]


@pytest.mark.parametrize("lon", [-179.5, 179.5])
def test_areas_over_the_dateline(client: httpx.Client, engine: Engine, lon: float) -> None:
    corners = [[lon - 0.2, 0], [lon + 0.2, 0], [lon + 0.2, 1], [lon - 0.2, 1], [lon - 0.2, 0]]
    publish(engine, event("S3A_DATELINE.zip", footprint={"type": "Polygon", "coordinates": [corners]}))
    publish(engine, event("S3A_ELSEWHERE.zip", footprint=SQUARE))
    area = "geography'SRID=4326;POLYGON((170 -10,-170 -10,-170 10,170 10,170 -10))'"
    for function in ("Intersects", "Within"):
        assert found(client, f"OData.CSC.{function}(area={area})") == ["S3A_DATELINE.zip"]
    assert found(client, f"OData.CSC.Disjoints(area={area})") == ["S3A_ELSEWHERE.zip"]


def test_queries_of_eodag(client: httpx.Client, engine: Engine) -> None:
    publish(engine, event("S1A_X.SAFE", footprint=SQUARE))
    area = "geography'SRID=4326;POLYGON ((1 1, 2 1, 2 2, 1 2, 1 1))'"
    mixed = (
        "Attributes/OData.CSC.IntegerAttribute/any("
        "att:att/Name eq 'orbitNumber' and att/OData.CSC.StringAttribute/Value eq 50000)"
    )
    text = f"Collection/Name eq 'SENTINEL-1' and OData.CSC.Intersects(area={area}) and {mixed}"
    answer = client.get(
        "/odata/v1/Products?$count=True&$top=20&$skip=0&$expand=Attributes&$expand=Assets",
    )
    assert answer.json()["@odata.count"] == 1
    assert found(client, text, count="True", orderby="ContentDate/Start asc") == ["S1A_X.SAFE"]
