"""The CADIP over HTTPS on real PostgreSQL, Kafka, S3 and Keycloak, asked the way clients in the field ask."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from lxml import etree
from sqlalchemy import Engine, func, select
from tests.means.certificates import Authority
from tests.services.conftest import wait_until
from tests.services.keycloak import Keycloak
from tests.services.published import BUCKET, event
from tests.services.serving import Served, authenticator, downloads, served

from refsys.services.cadip.app import create_app
from refsys.services.cadip.model import session, session_file, session_quality
from refsys.services.cadip.publish import publish_session_file
from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.messages import CATALOG_EVENT, CatalogEvent
from refsys.services.common.operations import Health
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution import publisher
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.model import product

pytest_plugins = ("tests.services.identity",)

SESSION = "S1A_20200105072204051312"
NEXT = "S1C_20200105090000051313"
ROOT = "/odata/v1"
PUBLIC_URL = "https://cadip.example.test"


def block(number: int, *, channel: int = 1, of: str = SESSION, content: bytes = b"", **changes: Any) -> CatalogEvent:
    """The event of a block of a session; the third is the final one of its channel."""
    retransfer = bool(changes.pop("retransfer", False))
    fields = {
        "sessionId": of,
        "channel": channel,
        "blockNumber": number,
        "finalBlock": number == 3,
        "retransfer": retransfer,
        "satellite": of[:3],
        "stationUnitId": "01",
        "downlinkOrbit": 51312,
    } | changes.pop("fields", {})
    name = f"DCS_01_{of}_ch{channel}_DSDB_{number:05}.raw"
    key = f"{'RETRANSFER' if retransfer else 'NOMINAL'}/{of}/ch0{channel}/{name}"
    values = {
        "storage_path": f"s3://{BUCKET}/{key}",
        "product_family": "SESSION_RETRANSFER" if retransfer else "EDRS_SESSION",
        "additional_fields": fields,
        "mission_id": "S1",
        "satellite_id": of[:3],
        "station_name": "SGS_",
    }
    return event(key, content or f"{key}".encode(), number, **(values | changes))


@pytest.fixture
def cadip(engine: Engine, store: ObjectStore, keycloak: Keycloak, authority: Authority) -> Iterator[Served]:
    app = create_app(Entities(engine), downloads(engine, store), authenticator(keycloak), PUBLIC_URL, Health())
    with served(app, "cadip", authority, keycloak) as running:
        yield running


@pytest.fixture
def client(cadip: Served) -> Iterator[httpx.Client]:
    with cadip.client() as client:
        yield client


@pytest.fixture
def sessions(engine: Engine) -> None:
    """Two sessions: one complete on both channels and retransferred in part, one that has just begun."""
    for number in (1, 2, 3):
        for channel in (1, 2):
            publish_session_file(engine, block(number, channel=channel))
    publish_session_file(engine, block(2, retransfer=True))
    publish_session_file(engine, block(1, of=NEXT))


def values(client: httpx.Client, address: str, **options: str) -> list[dict[str, Any]]:
    answer = client.get(f"{ROOT}/{address}", params={f"${name}": text for name, text in options.items()})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


def test_sessions(client: httpx.Client, sessions: None) -> None:
    """The requests of reference-system.md §3.1 on Sessions."""
    query = {
        "$filter": "Satellite eq 'S1A' and PublicationDate gt 2020-01-05T00:00:00.000Z",
        "$orderby": "PublicationDate asc",
        "$top": "100",
        "$count": "true",
    }
    page = client.get(f"{ROOT}/Sessions", params=query).json()
    assert page["@odata.count"] == 2
    nominal, retransfer = page["value"]
    assert set(nominal) == {
        *("Id", "SessionId", "NumChannels", "PublicationDate", "Satellite", "StationUnitId", "StationId"),
        *("DownlinkOrbit", "AcquisitionId", "AntennaId", "FrontEndId", "Retransfer", "AntennaStatusOK"),
        *("FrontEndStatusOK", "DownlinkStatusOK", "DeliveryPushOK", "PlannedDataStart", "PlannedDataStop"),
        *("DownlinkStart", "DownlinkStop"),
    }
    assert (nominal["SessionId"], nominal["NumChannels"], nominal["Retransfer"]) == (SESSION, 2, False)
    assert (nominal["StationUnitId"], nominal["StationId"], nominal["DownlinkOrbit"]) == ("01", "SGS_", 51312)
    assert (nominal["DownlinkStart"], nominal["DownlinkStop"]) == (
        "2024-01-01T01:00:00.000Z",
        "2024-01-01T04:00:00.000Z",
    )
    assert (retransfer["SessionId"], retransfer["Retransfer"]) == (SESSION, True)
    assert len(values(client, "Sessions", filter="Satellite in ('S1A','S1C')")) == 3
    either = f"SessionId eq '{SESSION}' or SessionId eq '{NEXT}'"
    for text in (either, either.replace(" or ", " OR "), f'"{either.replace(" or ", " OR ")}"'):
        assert len(values(client, "Sessions", filter=text)) == 3
    assert len(values(client, "Sessions", filter=f"SessionID eq '{SESSION}' AND Retransfer eq false")) == 1
    assert values(client, "Sessions", filter="Satellite eq 'S3B'") == []
    one = client.get(f"{ROOT}/Sessions({nominal['Id']})", params={"$expand": "Files"}).json()
    assert [(each["Channel"], each["BlockNumber"]) for each in one["Files"]] == [
        (channel, number) for channel in (1, 2) for number in (1, 2, 3)
    ]
    assert "QualityInfo" not in one
    expanded = values(client, "Sessions", expand="Files,QualityInfo", filter=f"SessionId eq '{NEXT}'")
    assert [len(each["Files"]) for each in expanded] == [1] and expanded[0]["QualityInfo"] == []
    assert client.get(f"{ROOT}/Sessions/$count").text == "3"
    link = client.get(f"{ROOT}/Sessions", params={"$top": "2"}).json()["@odata.nextLink"]
    assert link.startswith(f"{PUBLIC_URL}{ROOT}/Sessions?")


def dsib(channel: int = 1, last: int = 4) -> CatalogEvent:
    """The event of a channel's information block."""
    name = f"DCS_01_{SESSION}_ch{channel}_DSIB.xml"
    last_block = f"DCS_01_{SESSION}_ch{channel}_DSDB_{last:05}.raw"
    fields = {"blockNumber": None, "finalBlock": False, "lastBlock": last_block}
    key = f"{SESSION}/ch_{channel}/{name}"
    given = block(1, channel=channel, fields=fields)
    changes = {"key_object_storage": key, "storage_path": f"s3://{BUCKET}/{key}", "product_id": UUID(int=channel)}
    return given.model_copy(update=changes)


@pytest.mark.parametrize("when", [0, 2, 4])
def test_the_dsib_of_a_station_tells_the_final_block(when: int, client: httpx.Client, engine: Engine) -> None:
    """Before its blocks, among them, after them: the last one is final, and seen by whoever reads on by date."""
    seen = "2020-01-01T00:00:00.000Z"
    told: dict[str, bool] = {}
    for number in range(5):
        if number == when:
            assert publish_session_file(engine, dsib()) is None
            assert publish_session_file(engine, dsib()) is None
        if number < 4:
            publish_session_file(engine, block(number + 1, fields={"finalBlock": False}))
        for each in values(client, "Files", filter=f"PublicationDate gt {seen}", orderby="PublicationDate asc"):
            told[each["Name"]] = each["FinalBlock"]
            seen = each["PublicationDate"]
    assert [told[name] for name in sorted(told)] == [False, False, False, True]
    (quality,) = values(client, "QualityInfo")
    assert (quality["Channel"], quality["TotalChunks"]) == (1, 4)
    publish_session_file(engine, block(4, fields={"finalBlock": False}))  # the event again
    assert len(values(client, "Files")) == 4


def test_quality(client: httpx.Client, sessions: None) -> None:
    """From its final block on a channel has its totals; what the station did not tell stays unknown."""
    (nominal,) = values(client, "Sessions", filter=f"SessionId eq '{SESSION}' and Retransfer eq false")
    one = client.get(f"{ROOT}/Sessions({nominal['Id']})", params={"$expand": "QualityInfo"}).json()
    assert [each["Channel"] for each in one["QualityInfo"]] == [1, 2]
    files = values(client, "Files", filter=f"SessionId eq '{SESSION}' and Retransfer eq false and Channel eq 1")
    info = one["QualityInfo"][0]
    assert (info["TotalChunks"], info["TotalVolume"]) == (3, sum(each["Size"] for each in files))
    assert (info["DeliveryStart"], info["DeliveryStop"]) == (files[0]["PublicationDate"], files[2]["PublicationDate"])
    assert info["AcquiredTFs"] is None
    assert values(client, f"Sessions({nominal['Id']})/QualityInfo") == one["QualityInfo"]
    assert len(values(client, "QualityInfo", filter=f"SessionId eq '{SESSION}'")) == 2


def test_files(client: httpx.Client, sessions: None) -> None:
    """Polled by session, transfer and date, as a client's window moves on."""
    seen: list[str] = []
    cursor = "2020-01-01T00:00:00.000Z"
    while True:
        text = f"SessionId eq '{SESSION}' and Retransfer eq false and PublicationDate gt {cursor}"
        page = values(client, "Files", filter=text, orderby="PublicationDate asc", top="2")
        if not page:
            break
        seen += [each["Name"] for each in page]
        cursor = page[-1]["PublicationDate"]
    assert len(seen) == len(set(seen)) == 6
    (retransferred,) = values(client, "Files", filter="Retransfer eq true")
    assert set(retransferred) == {
        *("@odata.mediaContentType", "Id", "Name", "SessionId", "Channel", "BlockNumber", "FinalBlock"),
        *("PublicationDate", "EvictionDate", "Size", "Retransfer"),
    }
    assert retransferred["Name"] == f"DCS_01_{SESSION}_ch1_DSDB_00002.raw"
    published = datetime.fromisoformat(retransferred["PublicationDate"])
    assert datetime.fromisoformat(retransferred["EvictionDate"]) - published == timedelta(days=30)
    assert len(values(client, "Files", filter="FinalBlock eq true")) == 2
    wrong = (
        {"$filter": "Name eq"},
        {"$filter": "Online eq true"},
        {"$filter": "Attributes/any(a:a/Name eq 'x')"},
        {"$filter": "OData.CSC.Intersects(area=geography'SRID=4326;POINT(1 1)')"},
        {"$expand": "Files"},
        {"$orderby": "Color"},
        {"$top": "-1"},
    )
    for options in wrong:
        assert client.get(f"{ROOT}/Files", params=options).status_code == 400, options


def test_download(client: httpx.Client, cadip: Served, engine: Engine, store: ObjectStore) -> None:
    content = bytes(range(256)) * 40_000
    given = block(1, content=content)
    publish_session_file(engine, given)
    store.put(BUCKET, given.key_object_storage, [content], len(content))
    (file,) = values(client, "Files")
    address = f"{ROOT}/Files({file['Id']})/$value"
    whole = client.get(address)
    assert whole.content == content and whole.headers["Content-Disposition"].endswith(f'"{file["Name"]}"')
    part = client.get(address, headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, content[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"
    assert client.get(address, headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    assert client.head(address).headers["Content-Length"] == str(len(content))
    assert client.get(f"{ROOT}/Files({UUID(int=1)})/$value").status_code == 404
    with cadip.client("reader") as reader:  # a user of the PRIP alone
        assert reader.get(address).status_code == 403


def test_model(client: httpx.Client) -> None:
    sets = [each["name"] for each in client.get(f"{ROOT}/").json()["value"]]
    assert sets == ["Sessions", "Files", "QualityInfo"]
    model = etree.fromstring(client.get(f"{ROOT}/$metadata").content)
    names = {each.get("Name") for each in model.iter("{*}Property")}
    assert {"SessionId", "UncorrectableDataTFs", "DeliveryPushOK", "FinalBlock"} <= names


def test_the_same_event_again_changes_nothing(engine: Engine) -> None:
    first = publish_session_file(engine, block(1))
    assert publish_session_file(engine, block(1)) == first
    with pytest.raises(RejectedError, match="already published"):
        publish_session_file(engine, block(1, content=b"other"))
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(session_file)).scalar_one() == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sessionId": "../etc"}, "sessionId"),
        ({"channel": 0}, "channel"),
        ({"satellite": None}, "satellite"),
        ({"downlinkOrbit": "many"}, "downlinkOrbit"),
    ],
)
def test_contradictory_events(engine: Engine, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        publish_session_file(engine, block(1, fields=fields))
    with pytest.raises(RejectedError, match="productFamily"):
        publish_session_file(engine, block(1, product_family="AUXILIARY_FILE"))
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(session)).scalar_one() == 0


def test_what_is_no_block_is_not_served(engine: Engine) -> None:
    """A DSIB comes through the same chain; a CADIP has the blocks alone."""
    assert publish_session_file(engine, block(1, fields={"blockNumber": None})) is None
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(session)).scalar_one() == 0


def test_blocks_out_of_order_from_several_writers(engine: Engine) -> None:
    """Dates rise and are never shared, the totals are those of all blocks, whatever came last."""
    events = [block(number, channel=channel) for number in (3, 1, 2) for channel in (1, 2)]
    threads = [threading.Thread(target=publish_session_file, args=(engine, each)) for each in events * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with engine.connect() as connection:
        dates = list(connection.execute(select(session_file.c.publication_date)).scalars())
        totals = connection.execute(select(session_quality.c.total_chunks)).scalars()
        assert len(set(dates)) == 6 and list(totals) == [3, 3]
        assert all(date.microsecond % 1000 == 0 and date <= datetime.now(UTC) + timedelta(seconds=1) for date in dates)


def test_from_kafka(
    engine: Engine,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
    in_thread: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> None:
    """The publisher serves sessions by the CADIP and products by the PRIP, each event once although sent twice."""
    events = [block(number, channel=channel) for number in (1, 2, 3) for channel in (1, 2)]
    catalogue = Producer(kafka_settings("catalogue"), "catalogue")
    for each in [*events, *events, event("S1A_product.EOF", b"x")]:
        catalogue.send(CATALOG_EVENT, each, each.key())
    catalogue.flush()

    def number(table: Any) -> int:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()

    running, kafka = new_process("publisher"), kafka_settings("publisher")
    with in_thread(lambda: publisher.consume(running, kafka, engine)):
        wait_until(lambda: number(session_file) == 6 and number(product) == 1, 60, "six files and a product")
        running.stop.set()
    assert (number(session), number(session_quality)) == (1, 2)
