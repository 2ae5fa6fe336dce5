"""Orders without servers: inputs, planning, states, and the documents of OGC API - Processes."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from jsonschema import validate
from sqlalchemy import Dialect, create_engine, select
from sqlalchemy.dialects import postgresql
from tests.means.issuer import authenticator, bearer

from refsys.services.catalogue.tables import Product
from refsys.services.common.operations import Health
from refsys.services.common.settings import OnDemandSettings
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ondemand import documents
from refsys.services.ondemand.api import USER
from refsys.services.ondemand.app import create_app
from refsys.services.ondemand.documents import Addresses, status_info
from refsys.services.ondemand.inputs import Selection, read
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.planning import Ordered, conditions, planned, row_of
from refsys.services.ondemand.processes import Processes, description, name_of
from refsys.services.ondemand.states import Status, standing
from refsys.services.preparation.facts import Facts
from refsys.services.preparation.generator import parameters_of
from refsys.services.preparation.needs import Period, Subject
from refsys.services.production.chains import Chain
from refsys.services.production.check import ChainError, read_chain
from refsys.services.production.shelf import Place, Shelf, shipped

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ADDRESSES = Addresses("https://ondemand.example.test/ogc", "https://prip.example.test")
ORDER = UUID(int=7)
DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
TEXT, LINKS = {"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/link"}}
DEFINITIONS = {
    "link": {"type": "object", "required": ["href"], "properties": {"href": TEXT, "rel": TEXT, "type": TEXT}},
    "occurs": {
        "type": "object",
        "required": ["schema"],
        "properties": {"title": TEXT, "minOccurs": {"type": "integer"}, "maxOccurs": {"type": "integer"}},
    },
}
STATUS_INFO = {
    "$defs": DEFINITIONS,
    "type": "object",
    "required": ["jobID", "status", "type"],
    "properties": {
        "processID": TEXT,
        "type": {"enum": ["process"]},
        "jobID": TEXT,
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "message": TEXT,
        **{name: {"type": "string", "format": "date-time"} for name in ("created", "started", "finished", "updated")},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "links": LINKS,
    },
}
PROCESS = {
    "$defs": DEFINITIONS,
    "type": "object",
    "required": ["id", "version", "inputs", "outputs", "jobControlOptions", "outputTransmission"],
    "properties": {
        "jobControlOptions": {"items": {"enum": ["sync-execute", "async-execute", "dismiss"]}},
        "outputTransmission": {"items": {"enum": ["value", "reference"]}},
        "links": LINKS,
        "inputs": {"additionalProperties": {"$ref": "#/$defs/occurs"}},
        "outputs": {"additionalProperties": {"$ref": "#/$defs/occurs"}},
    },
}
PROBLEM = {"type": "object", "required": ["type", "title", "status", "detail"]}
"""What the standard's schemas ask for, by its text (18-062r2, clauses 7 and 11)."""


@cache
def shelf() -> Shelf:
    return Shelf({name: chain.model_copy(update={"enabled": True}) for name, chain in shipped().items()})


def place(chain: str = "s1-l1", table: str = "IW_L1") -> Place:
    found = shelf().find(chain, table)
    assert found
    return found


def with_parameters() -> Place:
    text = """
name: s1-parameters
mission: S1
processor: {image: x, name: X, version: "1"}
resources: {cpus: 1, memory_mib: 64, workdir_mib: 64}
task_tables:
  - name: IW
    on_demand:
      title: With parameters
      only: true
      parameters:
        Polarisation: {values: [VV, VH]}
        Looks: {pattern: "[1-9]x[1-9]"}
    trigger: {kind: product, family: L0_SLICE, product_types: [IW_RAW__0S]}
    give_up: {default: 60}
    parameters: {Looks: 1x1, Mission_Id: "{satellite}"}
    tasks: [{name: RUN, command: [/bin/run]}]
    outputs: [{family: L1_SLICE, product_types: [IW_GRDH_1S]}]
"""
    chain: Chain = read_chain(text)
    return Place(chain, chain.task_tables[0])


def product(number: int = 0, **changes: Any) -> Any:
    start = NOON + timedelta(seconds=30 * number)
    name = (
        f"S1A_IW_RAW__0SDV_{start:%Y%m%dT%H%M%S}_{start + timedelta(seconds=32):%Y%m%dT%H%M%S}_050000_060000_AB12.SAFE"
    )
    found = {
        "id": UUID(int=number + 1),
        "name": name,
        "key": name,
        "family": "L0_SLICE",
        "mission": "S1",
        "satellite": "S1A",
        "product_type": "IW_RAW__0S",
        "station": "MTI_",
        "size": 1,
        "checksums": [],
        "bucket": "rs-l0-slice",
        "content_start": start,
        "content_end": start + timedelta(seconds=32),
        "attributes": [],
        "footprint": None,
        "trace": {},
        "additional_fields": {},
        "timeliness": "NRT",
        "created": NOON,
    }
    return found | changes


def counted(**changes: Any) -> Any:
    """An order with what is counted of its jobs."""
    row = {"id": ORDER, "process": "s1-l1.IW_L1", "jobs": 3, "ended": 0, "good": 0, "cancelled": 0, "started": None}
    row |= {"created": NOON, "updated": NOON, "dismissed": None, "doing": "waits for orbit", "trouble": None}
    return row | changes


@pytest.mark.parametrize(
    ("changes", "status", "progress"),
    [
        ({}, "accepted", 0),
        ({"started": NOON}, "running", 0),
        ({"ended": 1, "good": 1}, "running", 33),
        ({"ended": 3, "good": 3}, "successful", 100),
        ({"ended": 3, "good": 2, "trouble": "ended with 130"}, "failed", 100),
        ({"ended": 2, "good": 1}, "running", 66),
        ({"ended": 3, "good": 1, "cancelled": 2, "dismissed": NOON}, "dismissed", 100),
        ({"ended": 3, "good": 3, "dismissed": NOON}, "successful", 100),
        ({"ended": 3, "cancelled": 3}, "dismissed", 100),
        ({"ended": 3, "cancelled": 2, "trouble": "ended by anna"}, "failed", 100),
    ],
)
def test_an_order_is_what_its_jobs_are(changes: Any, status: str, progress: int) -> None:
    found = standing(counted(**changes))
    assert (found.status, found.progress) == (status, progress)
    assert (found.finished is None) == (status in {"accepted", "running"})
    document = status_info(counted(**changes), ADDRESSES)
    validate(document, STATUS_INFO)
    rels = {link["rel"] for link in document["links"]}
    assert (documents.RESULTS in rels) == (status == Status.SUCCESSFUL)


def test_who_ordered_reads_why_it_failed_and_what_it_waits_for() -> None:
    assert standing(counted(ended=3, good=2, trouble="it ended with 130")).message.endswith("failed: it ended with 130")
    assert "waits for orbit" in standing(counted()).message


def test_every_process_is_described() -> None:
    offered = shelf().on_demand()
    assert {"s1-aiop.S1_AIOP", "s2-l2.S2_L2", "s3-l1.OL1_NRT"} <= {name_of(each) for each in offered}
    for each in offered:
        validate(description(each, ADDRESSES.root, 50), PROCESS)
    # Sessions lie nowhere on Earth.
    assert "bbox" not in description(place("s1-aiop", "S1_AIOP"), "", 50)["inputs"]
    assert "bbox" in description(place(), "", 50)["inputs"]


def test_only_enabled_chains_are_offered() -> None:
    assert {place.chain.name for place in Shelf(shipped()).on_demand()} == {"s1-aiop", "s2-l0u", "s3-l0"}


def test_what_is_made_to_order_alone_is_triggered_by_nothing() -> None:
    found = Shelf({"s1-parameters": with_parameters().chain})
    assert list(found.triggered("L0_SLICE", "IW_RAW__0S", "S1")) == []
    assert len(found.on_demand()) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{title: T, parameters: {bbox: {values: [a]}}}", "bbox says what is processed"),
        ("{title: T, parameters: {A: {}}}", "either values or a pattern"),
        ("{title: T, parameters: {A: {values: [a], pattern: b}}}", "either values or a pattern"),
        ("{title: ''}", "at least 1 character"),
    ],
)
def test_wrong_offers_are_explained(line: str, message: str) -> None:
    text = f"""
name: s1-wrong
mission: S1
processor: {{image: x, name: X, version: "1"}}
resources: {{cpus: 1, memory_mib: 64, workdir_mib: 64}}
task_tables:
  - name: IW
    on_demand: {line}
    trigger: {{kind: product, family: L0_SLICE, product_types: [IW_RAW__0S]}}
    give_up: {{default: 60}}
    tasks: [{{name: RUN, command: [/bin/run]}}]
    outputs: [{{family: L1_SLICE, product_types: [IW_GRDH_1S]}}]
"""
    with pytest.raises(ChainError, match=message):
        read_chain(text)


def test_inputs_are_read() -> None:
    found = read(
        with_parameters(),
        {
            "products": "A",
            "datetime": "2026-11-01T12:00:00/2026-11-01T14:00:00+01:00",
            "bbox": {"bbox": [170, -10, -170, 10]},
            "polygon": {"value": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}},
            "Polarisation": "VV",
            "Looks": "2x3",
        },
        10,
    )
    assert found.names == ("A",)
    assert found.period == (NOON, NOON + timedelta(hours=1))
    assert len(found.areas) == 2
    assert found.parameters == {"Polarisation": "VV", "Looks": "2x3"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "say what is processed"),
        ({"Looks": "1x1"}, "say what is processed"),
        ({"names": "A"}, "names: is no input"),
        ({"products": []}, "list of them"),
        ({"products": ["A"] * 11}, "11 names, 10 are possible"),
        ({"products": [{"href": "A"}]}, "list of them"),
        ({"products": "A\x00"}, "list of them"),
        ({"datetime": "2026-11-01"}, "no interval"),
        ({"datetime": "2026-11-02/2026-11-01"}, "ends before"),
        ({"datetime": "0001-01-01T00:00:00+14:00/2026-11-01"}, "no interval"),
        ({"datetime": 5}, "no interval"),
        ({"bbox": [0, 0, 1, 1]}, "west, south, east, north"),
        ({"bbox": {"bbox": [0, 0, 1, 1], "crs": "EPSG:3857"}}, "no other"),
        ({"bbox": {"bbox": [0, 91, 1, 92]}}, "latitudes"),
        ({"polygon": {"type": "Nonsense"}}, "not a GeoJSON"),
        ({"products": "A", "Polarisation": "HH"}, "none of VV, VH"),
        ({"products": "A", "Looks": "10x10"}, "does not match"),
        ({"products": "A", "Looks": 5}, "is a text"),
    ],
)
def test_wrong_inputs_are_explained(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ODataError, match=message) as caught:
        read(with_parameters(), inputs, 10)
    assert caught.value.status == 400


def test_area_is_no_input_where_products_have_none() -> None:
    with pytest.raises(ODataError, match="is no input of this process"):
        read(place("s1-aiop", "S1_AIOP"), {"bbox": {"bbox": [0, 0, 1, 1]}}, 10)


def test_one_job_a_product() -> None:
    rows = [product(number) for number in range(3)]
    found = planned(place(), Selection(), rows, 10)
    assert [each.trigger for each in found] == [row["name"] for row in rows]


def test_one_job_a_data_take_and_a_session() -> None:
    take = [{"name": "datatakeID", "type": "Integer", "value": 7}]
    segments = [product(number, family="L0_SEGMENT", attributes=take) for number in range(3)]
    assert [each.trigger for each in planned(place("s1-asp", "IW_ASP"), Selection(), segments, 10)] == [
        "data take S1A-7"
    ]
    session = "S1A_20261101110000050000"
    files = []
    for channel in (1, 2):
        key = f"{session}/ch_{channel}/DCS_0{channel}_{session}_ch{channel}_DSIB.xml"
        files.append(product(channel, name=key, key=key, family="EDRS_SESSION", product_type="DSIB"))
    found = planned(place("s1-aiop", "S1_AIOP"), Selection(), files, 10)
    assert [each.trigger for each in found] == [f"session {session}"]


def test_what_can_not_be_made_is_refused() -> None:
    with pytest.raises(ODataError, match=r"NAME is not in the catalogue.*L0_SLICE/IW_RAW__0S of S1"):
        planned(place(), Selection(names=("NAME",)), [], 10)
    with pytest.raises(ODataError, match="no product in the catalogue"):
        planned(place(), Selection(), [], 10)
    with pytest.raises(ODataError, match="over 2 jobs"):
        planned(place(), Selection(), [product(number) for number in range(3)], 2)


def test_the_catalogue_is_asked_for_what_the_process_takes() -> None:
    selection = read(place(), {"datetime": "2026-11-01/2026-11-02", "bbox": {"bbox": [0, 0, 1, 1]}}, 10)
    statement = select(Product.id).where(*conditions(place(), selection))
    text = str(statement.compile(dialect=DIALECT))
    for part in ("state = 'VALID'", "product.mission =", "product_type) IN", "tstzrange", "ST_Intersects"):
        assert part in text


def test_an_ordered_job_goes_last_and_belongs_to_its_order() -> None:
    (job,) = planned(with_parameters(), Selection(), [product()], 10)
    selection = Selection(parameters={"Looks": "2x2"})
    row = row_of(with_parameters(), job, selection, Ordered(ORDER, "anna", NOON))
    again = row_of(with_parameters(), job, selection, Ordered(UUID(int=8), "anna", NOON))
    assert (row["priority"], row["request_id"]) == (900, ORDER)
    assert row["id"] != again["id"], "each order has jobs of its own"
    facts = Facts.model_validate(row["facts"])
    assert facts.ordered == NOON
    subject = Subject("S1A", "NRT", Period(NOON, NOON), NOON, facts)
    assert parameters_of(with_parameters(), subject) == {"Looks": "2x2", "Mission_Id": "S1A"}


def test_products_are_linked() -> None:
    published: Any = {"A.SAFE": {"id": UUID(int=1), "name": "A.SAFE.zip", "content_type": "application/zip"}}
    links = [documents._product(name, published, ADDRESSES) for name in ("A.SAFE", "B.SAFE")]
    found = documents.results([{"products": links[:1]}, {"products": links[1:]}])
    assert found["products"][0] == {
        "href": f"https://prip.example.test/odata/v1/Products({UUID(int=1)})/$value",
        "type": "application/zip",
        "title": "A.SAFE.zip",
    }
    assert "startswith" in found["products"][1]["href"]
    assert not documents.all_published(found)
    assert documents.all_published(documents.results([{"products": links[:1]}]))


class Offered(Processes):
    """The shipped chains, without a database."""

    def __init__(self) -> None:
        """Nothing is read."""

    def all(self) -> list[Place]:
        """All that is shipped."""
        return sorted(shelf().on_demand(), key=name_of)


def client() -> TestClient:
    nowhere = create_engine("postgresql+psycopg://127.0.0.1:1/none")
    endpoints: Any = Endpoints
    app = create_app(Orders(nowhere, endpoints, OnDemandSettings()), Offered(), authenticator(), ADDRESSES, Health())
    return TestClient(app, raise_server_exceptions=False, headers=bearer(roles=[USER]))


def test_the_api_describes_itself() -> None:
    asked = client()
    links = {link["rel"].rpartition("/")[2]: link["href"] for link in asked.get("/ogc").json()["links"]}
    assert {"service-desc", "conformance", "processes", "job-list"} <= links.keys()
    assert links["processes"] == "https://ondemand.example.test/ogc/processes"
    assert asked.get("/ogc/conformance").json()["conformsTo"]
    assert "/ogc/processes/{process}/execution" in asked.get("/ogc/api").json()["paths"]
    listed = asked.get("/ogc/processes").json()["processes"]
    for each in listed:
        validate(asked.get(each["links"][0]["href"].partition("example.test")[2]).json(), PROCESS)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/ogc/processes/none", None, 404, "no-such-process"),
        ("GET", "/ogc/jobs/none", None, 404, "no-such-job"),
        ("GET", "/ogc/nothing", None, 404, "about:blank"),
        ("POST", "/ogc/processes/s1-l1.IW_L1/execution", {"response": "raw"}, 400, "about:blank"),
        ("POST", "/ogc/processes/s1-l1.IW_L1/execution", {"inputs": {"x": 1}}, 400, "about:blank"),
        ("POST", "/ogc/processes/s1-l1.IW_L1/execution", {"outputs": {"other": {}}}, 400, "about:blank"),
        ("POST", "/ogc/processes/s1-l1.IW_L1/execution", {"inputs": {"products": "A"}}, 503, "about:blank"),
    ],
)
def test_errors_are_problem_details(method: str, path: str, body: Any, status: int, kind: str) -> None:
    answer = client().request(method, path, json=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    validate(answer.json(), PROBLEM)
    assert answer.json()["type"].endswith(kind)
