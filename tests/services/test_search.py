"""The metadata search over HTTPS on real PostgreSQL, Kafka, S3 and Keycloak."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine, func, insert, select
from tests.means.certificates import Authority
from tests.means.processes import free_port
from tests.services.conftest import Bus
from tests.services.keycloak import Keycloak
from tests.services.published import event

from refsys.services.catalogue.service import product_id
from refsys.services.catalogue.tables import INVALID, VALID, Product
from refsys.services.common import https
from refsys.services.common.bus import Producer
from refsys.services.common.families import Family, storage_path
from refsys.services.common.messages import CATALOG_JOB, CatalogJob
from refsys.services.common.operations import Health
from refsys.services.common.settings import KafkaSettings, OidcSettings
from refsys.services.common.store import ObjectStore, StoreUnavailableError
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.delivery import orders
from refsys.services.distribution.delivery.matching import match
from refsys.services.distribution.delivery.model import deleted_product, notification, product_order, subscription
from refsys.services.distribution.model import product as published
from refsys.services.distribution.publisher import publish
from refsys.services.search.app import create_app
from refsys.services.search.database import bound_statements
from refsys.services.search.deletion import Deletions
from refsys.services.search.repository import Catalogued
from refsys.services.search.tables import deletion

pytest_plugins = ("tests.services.identity",)
DAY = datetime(2024, 1, 1, tzinfo=UTC)


def hours(number: float) -> datetime:
    return DAY + timedelta(hours=number)


def text(number: float) -> str:
    return hours(number).strftime("%Y-%m-%dT%H:%M:%SZ")


def add(engine: Engine, name: str, family: Family, start: float, stop: float, **changes: Any) -> str:
    """Catalogue a product valid from `start` to `stop` hours of the day; returns its name."""
    bucket, key = storage_path(family, name).removeprefix("s3://").split("/", 1)
    values = {
        "id": product_id(name),
        "name": name,
        "family": family,
        "mission": name[:2],
        "satellite": name[:3].rstrip("_"),
        "product_type": "AUX_RESORB",
        "station": "MTI_",
        "size": 3,
        "checksums": [{"algorithm": "MD5", "value": "x", "checksum_date": "2024-01-01T00:00:00.000000Z"}],
        "bucket": bucket,
        "key": key,
        "content_start": hours(start),
        "content_end": hours(stop),
        "attributes": [],
        "trace": {},
        "additional_fields": {},
        "state": VALID,
        "generated": hours(stop),
    }
    with engine.begin() as connection:
        connection.execute(insert(Product).values(values | changes))
    return name


@pytest.fixture
def deletions(engine: Engine, store: ObjectStore) -> Deletions:
    return Deletions(engine, store)


@pytest.fixture
def url(
    engine: Engine,
    deletions: Deletions,
    keycloak: Keycloak,
    authority: Authority,
    kafka_settings: Callable[[str], KafkaSettings],
) -> Iterator[str]:
    bound_statements(engine)
    settings = OidcSettings.model_validate({"issuer": keycloak.issuer, "jwks_url": keycloak.keys_url})
    app = create_app(
        Catalogued(engine),
        deletions,
        Producer(kafka_settings("metadata-search"), "metadata-search"),
        Authenticator(settings, httpx.AsyncClient(trust_env=False)),
        Health(),
    )
    certificate, port = authority.issue("metadata-search"), free_port()
    server = https.server(app, certificate.certificate_file, certificate.key_file, port)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.05)
    yield f"https://localhost:{port}"
    server.should_exit = True
    thread.join(30)


def client_of(url: str, authority: Authority, headers: dict[str, str]) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    return httpx.Client(base_url=url, verify=trusted, headers=headers, timeout=60, trust_env=False)


@pytest.fixture
def client(url: str, authority: Authority, keycloak: Keycloak) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {keycloak.token('demo')}"}
    with client_of(url, authority, headers) as client:
        yield client


def names(client: httpx.Client, path: str, **parameters: Any) -> list[str]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return [each["productName"] for each in answer.json()]


def test_only_operators_search(url: str, authority: Authority, keycloak: Keycloak) -> None:
    paths = ("/l0Slice/x", "/operations/v1/invalid", "/metadata/L0_SLICE/query", "/AUX_RESORB/searchAuxiliary")
    with client_of(url, authority, {}) as nobody:
        assert {nobody.get(path).status_code for path in paths} == {401}
    with client_of(url, authority, {"Authorization": f"Bearer {keycloak.token('reader')}"}) as user:
        assert {user.get(path).status_code for path in paths} == {403}
        answer = user.delete("/metadata/L0_SLICE/deleteProduct", params={"productName": "x"})
        assert answer.status_code == 403


def test_auxiliary_files_are_selected_by_policy(client: httpx.Client, engine: Engine) -> None:
    first = add(engine, "S1A_first", Family.AUXILIARY_FILE, 0, 4, generated=hours(10))
    second = add(engine, "S1A_second", Family.AUXILIARY_FILE, 2, 6, generated=hours(9))
    third = add(engine, "S1A_third", Family.AUXILIARY_FILE, 3, 5, generated=hours(11))
    shared = add(engine, "S1__shared", Family.AUXILIARY_FILE, 8, 9, satellite="S1", generated=hours(1))
    add(engine, "S1B_other", Family.AUXILIARY_FILE, 0, 24)
    add(engine, "S1A_broken", Family.AUXILIARY_FILE, 0, 24, state=INVALID)
    add(engine, "S1A_type", Family.AUXILIARY_FILE, 0, 24, product_type="AUX_POEORB")

    def chosen(mode: str, start: float, stop: float, **more: Any) -> list[str]:
        period = {"start": text(start), "stop": text(stop), "satellite": "S1A"}
        return names(client, "/AUX_RESORB/searchAuxiliary", mode=mode, **(period | more))

    assert chosen("LatestValCover", 2.5, 3.5) == [first]
    assert chosen("LatestValCover", 3, 5) == [third]
    assert chosen("LatestValCover", 3, 4.5, after=3600) == [second]
    assert chosen("LatestValCover", 7, 7.5) == []
    assert chosen("LatestValIntersect", 2.5, 3.5) == [third]
    assert chosen("ValIntersect", 3.5, 10) == [first, second, third, shared]
    assert chosen("LatestStartValidity", 0, 10) == [shared]
    assert chosen("LatestStopValidity", 0, 5.5) == [second]
    assert chosen("ClosestStartValidity", 1, 2.5) == [second]
    assert chosen("ClosestStartValidity", 0, 1) == [first]
    assert chosen("ClosestStopValidity", 4, 5.2) == [third]
    assert names(client, "/AUX_RESORB/searchAuxiliary", start=text(2.5), stop=text(3.5)) == ["S1B_other"]
    search = "/metadata/AUXILIARY_FILE/search"
    period = {"start": text(2.5), "stop": text(3.5)}
    assert names(client, search, productType="AUX_RESORB", satellite="S1A", **period) == [first]
    assert names(client, "/metadata/S2_AUX/search", productType="AUX_RESORB", **period) == []


def test_slices_their_companions_and_segments(client: httpx.Client, engine: Engine) -> None:
    take: dict[str, Any] = {"datatake_id": 137013}
    one = add(engine, "S1A_slice", Family.L0_SLICE, 0, 1, product_type="IW_RAW__0S", **take)
    companions = [
        add(engine, f"S1A_{kind}", Family.L0_ACN, 0, 1, product_type=f"IW_RAW__0{kind}", **take) for kind in "ACN"
    ]
    add(engine, "S1A_A_else", Family.L0_ACN, 0, 1, product_type="IW_RAW__0A", datatake_id=1)
    add(engine, "S1B_A", Family.L0_ACN, 0, 1, product_type="IW_RAW__0A", **take)
    add(engine, "S1A_EW", Family.L0_ACN, 0, 1, product_type="EW_RAW__0A", **take)
    segments = [add(engine, f"S1A_seg{number}", Family.L0_SEGMENT, number, 9, **take) for number in (1, 2)]
    found = client.get(f"/l0Slice/{one}").json()
    assert found["productName"] == one
    assert found["dataTakeId"] == 137013
    assert found["validityStop"] == "2024-01-01T01:00:00.000000Z"
    assert names(client, f"/l0Slice/{one}/acns") == companions
    assert names(client, "/level_segment/137013") == segments
    assert names(client, "/level_segment/0x021735", satellite="S1A") == segments
    assert names(client, "/level_segment/137013", satellite="S1C") == []
    for path in ("/l0Slice/none", "/l0Slice/none/acns", f"/l0Slice/{segments[0]}"):
        assert client.get(path).status_code == 404, path
    assert client.get("/level_segment/x").status_code == 400


def test_a_session_has_its_files(client: httpx.Client, engine: Engine) -> None:
    files = [
        add(engine, f"DCS_02_X_ch1_{kind}", Family.EDRS_SESSION, 0, 1, session_id="X", details={"channelId": 1})
        for kind in ("DSDB_00001.raw", "DSIB.xml")
    ]
    add(engine, "DCS_02_Y_ch1_DSIB.xml", Family.EDRS_SESSION, 0, 1, session_id="Y")
    assert names(client, "/edrsSession/sessionId/X") == files
    assert names(client, "/edrsSession/sessionId/X", top=1, skip=1) == files[1:]
    assert names(client, "/edrsSession/sessionId/Z") == []
    assert client.get("/edrsSession/sessionId/X").json()[0]["details"] == {"channelId": 1}


def test_families_are_searched_by_what_is_known(client: httpx.Client, engine: Engine) -> None:
    attributes = [
        {"name": "tileId", "type": "String", "value": "36UXV"},
        {"name": "cloudCover", "type": "Double", "value": 12.5},
        {"name": "orbitNumber", "type": "Integer", "value": 7},
        {"name": "sliceProductFlag", "type": "Boolean", "value": True},
    ]
    one = add(engine, "S2A_one", Family.S2_L1C_TL, 0, 1, product_type="MSI_L1C_TL", attributes=attributes)
    two = add(engine, "S2B_two", Family.S2_L1C_TL, 2, 3, product_type="MSI_L1C_TL", timeliness="NRT")
    later = add(engine, "S2B_later", Family.S2_L1C_TL, 4, 5, product_type="MSI_L2A_TL", created=hours(100))
    query = "/metadata/S2_L1C_TL/query"
    assert set(names(client, query)) == {one, two, later}
    assert names(client, query, satellite="S2A") == [one]
    assert names(client, query, timeliness="NRT") == [two]
    for attribute in ("tileId:36UXV", "cloudCover:12.5", "orbitNumber:7", "sliceProductFlag:true"):
        assert names(client, query, attribute=attribute) == [one], attribute
    assert names(client, query, attribute=["tileId:36UXV", "orbitNumber:8"]) == []
    assert len(names(client, query, top=2)) == 2
    assert names(client, "/metadata/S2_L1C_TL/searchInterval", start=text(99), stop=text(101)) == [later]
    interval = {"start": text(0.5), "stop": text(2)}
    assert names(client, "/metadata/s2_l1c_tl/searchTypeInterval", productType="MSI_L1C_TL", **interval) == [one, two]
    by_name = "/metadata/S2_L1C_TL/searchProductName"
    assert client.get(by_name, params={"productName": one}).json()["attributes"]["tileId"] == "36UXV"
    assert client.get(by_name, params={"productName": "none"}).status_code == 404
    assert client.get("/metadata/L0_SLICE/searchProductName", params={"productName": one}).status_code == 404


def test_sentinel_3_products_by_range_and_orbit(client: httpx.Client, engine: Engine) -> None:
    kind: dict[str, Any] = {"product_type": "OL_0_EFR___"}
    one = add(engine, "S3A_one", Family.S3_L0, 0, 1, orbit_start=100, orbit_end=101, timeliness="NRT", **kind)
    two = add(engine, "S3B_two", Family.S3_L0, 1, 2, orbit_start=101, orbit_end=101, **kind)
    base = "/s3metadata/OL_0_EFR___"
    assert names(client, f"{base}/range", start=text(0), stop=text(5)) == [one, two]
    assert names(client, f"{base}/range", start=text(1.5), stop=text(5), before=3600) == [one, two]
    assert names(client, f"{base}/range", start=text(0), stop=text(5), timeliness="NRT") == [one]
    assert names(client, f"{base}/orbit", orbitNumber=100) == [one]
    assert set(names(client, f"{base}/orbit", orbitNumber=101)) == {one, two}
    assert names(client, f"{base}/orbit", orbitNumber=101, satellite="S3B") == [two]


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("/metadata/NOTHING/query", {}, 404),
        ("/nothing", {}, 404),
        ("/AUX_RESORB/searchAuxiliary", {}, 400),
        ("/AUX_RESORB/searchAuxiliary", {"start": "x", "stop": text(1)}, 400),
        ("/AUX_RESORB/searchAuxiliary", {"start": text(2), "stop": text(1)}, 400),
        ("/AUX_RESORB/searchAuxiliary", {"start": text(0), "stop": text(1), "mode": "Best"}, 400),
        ("/AUX_RESORB/searchAuxiliary", {"start": "0001-01-01T00:00:00Z", "stop": text(1), "before": 60}, 400),
        ("/AUX_RESORB/searchAuxiliary", {"start": text(0), "stop": text(1), "before": -1}, 400),
        ("/metadata/L0_SLICE/query", {"top": 1001}, 400),
        ("/metadata/L0_SLICE/query", {"attribute": "nothing"}, 400),
        ("/metadata/L0_SLICE/query", {"satellite": "S9X"}, 400),
        ("/metadata/L0_SLICE/query", {"attribute": "orbitNumber:1e999"}, 200),
        ("/metadata/L0_SLICE/query", {"attribute": "name:' OR 1=1 --"}, 200),
        ("/level_segment/999999999999999999", {}, 200),
        ("/l0Slice/%00", {}, 400),
    ],
)
def test_what_is_wrong_is_told(client: httpx.Client, path: str, parameters: dict[str, Any], status: int) -> None:
    answer = client.get(path, params=parameters)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["error"]["message"]


def test_what_is_invalid_is_listed_and_tried_again(client: httpx.Client, engine: Engine, bus: Bus) -> None:
    broken = [
        add(engine, f"S1A_broken{number}", Family.AUXILIARY_FILE, 0, 1, state=INVALID, reason="XML is malformed")
        for number in range(3)
    ]
    good = add(engine, "S1A_good", Family.AUXILIARY_FILE, 0, 1)
    listed = client.get("/operations/v1/invalid", params={"family": "AUXILIARY_FILE", "top": 2}).json()
    assert listed["count"] == 3
    assert [each["productName"] for each in listed["value"]] == broken[:2]
    assert listed["value"][0]["reason"] == "XML is malformed"
    assert client.get("/operations/v1/invalid", params={"mission": "S3"}).json() == {"count": 0, "value": []}
    answer = client.post(f"/operations/v1/invalid/{broken[0]}/retry")
    assert (answer.status_code, answer.json()) == (202, {"retried": broken[:1], "notInvalid": []})
    assert client.post(f"/operations/v1/invalid/{good}/retry").status_code == 404
    many = {"productNames": [*broken[1:], good, broken[1]]}
    assert client.post("/operations/v1/invalid/retry", json=many).json() == {
        "retried": broken[1:],
        "notInvalid": [good],
    }
    assert client.post("/operations/v1/invalid/retry", json={"productNames": []}).status_code == 400
    jobs = [CatalogJob.model_validate_json(each) for each in bus.read(CATALOG_JOB, 3)]
    assert sorted(job.key_object_storage for job in jobs) == broken
    assert jobs[0].storage_path == f"s3://rs-s1-aux/{jobs[0].key_object_storage}"
    assert jobs[0].checksums[0].value == "x"


def rows(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def stored_and_published(engine: Engine, store: ObjectStore, name: str) -> str:
    add(engine, name, Family.AUXILIARY_FILE, 0, 1)
    store.put("rs-s1-aux", name, [b"abc"], 3)
    publish(engine, event(name, b"abc"))
    return name


def test_a_deleted_product_is_gone_everywhere(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    name = stored_and_published(engine, store, "S1A_gone")
    other = stored_and_published(engine, store, "S1A_stays")
    path, query = "/metadata/AUXILIARY_FILE/deleteProduct", {"productName": name}
    assert client.delete("/metadata/L0_SLICE/deleteProduct", params=query).status_code == 404
    answer = client.delete(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["requestedBy"] == "demo"
    assert answer.json()["done"]
    assert store.head("rs-s1-aux", name) is None
    assert rows(engine, Product) == rows(engine, published) == 1
    assert client.delete(path, params=query).json() == answer.json()
    assert client.delete(path, params={"productName": "none"}).status_code == 404
    assert store.head("rs-s1-aux", other) is not None
    with engine.connect() as connection:
        kept = connection.execute(select(deleted_product.c.name, deleted_product.c.deletion_cause)).all()
    assert kept == [(name, "Deleted by an operator")]


def test_users_learn_of_a_deletion(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    """Also of that of an archive: subscribers are told, open orders fail, the archive's object goes."""
    name, archive = "S1A_IW_RAW__0S.SAFE", "S1A_IW_RAW__0S.SAFE.zip"
    add(engine, name, Family.L0_SLICE, 0, 1)
    for bucket, key in (("rs-s1-l0-slices", name), ("rs-s1-l0-slices-zip", archive)):
        store.make_bucket(bucket)
        store.put(bucket, key, [b"abc"], 3)
    given = event(archive, b"abc", product_family="L0_SLICE_ZIP", storage_path=f"s3://rs-s1-l0-slices-zip/{archive}")
    publish(engine, given)
    with engine.begin() as connection:
        connection.execute(
            insert(subscription).values(
                id=uuid4(), owner="u", roles=["prip-user"], filter_param="", stage_order=False, priority=1,
                status="running", events=["deleted"], type="pull", submission_date=func.now(),
            )
        )  # fmt: skip
        connection.execute(published.update().values(online=False))
        row = connection.execute(select(published)).mappings().one()
        orders.place(connection, "u", row, 1)
    answer = client.delete("/metadata/L0_SLICE/deleteProduct", params={"productName": name})
    assert answer.status_code == 200, answer.text
    assert match(engine) == 1
    with engine.connect() as connection:
        assert connection.execute(select(product_order.c.status)).scalar_one() == "failed"
    assert (rows(engine, published), rows(engine, deleted_product), rows(engine, notification)) == (0, 1, 1)
    assert store.head("rs-s1-l0-slices", name) is None
    assert store.head("rs-s1-l0-slices-zip", archive) is None


@pytest.mark.parametrize("step", ["_delivered_again", "store"])
def test_a_deletion_that_stops_halfway_is_told_and_completed(
    step: str, engine: Engine, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stored_and_published(engine, store, "S1A_half")

    def fail(*_: object) -> None:
        raise StoreUnavailableError("object store: away")

    broken = Deletions(engine, store)
    owner, method = (ObjectStore, "delete") if step == "store" else (Deletions, step)
    monkeypatch.setattr(owner, method, fail)
    with pytest.raises(Exception, match=r"is ordered as .* not complete"):
        broken.delete(name, Family.AUXILIARY_FILE, "operator")
    assert broken.resume() == 0
    assert store.head("rs-s1-aux", name) is not None
    assert rows(engine, published) == rows(engine, Product) == 0
    monkeypatch.undo()
    assert broken.resume() == 1
    assert store.head("rs-s1-aux", name) is None
    assert broken.resume() == 0
    assert rows(engine, deletion) == 1


def test_a_product_that_came_back_meanwhile_keeps_its_object(
    engine: Engine, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stored_and_published(engine, store, "S1A_back")
    monkeypatch.setattr(ObjectStore, "delete", lambda *_: (_ for _ in ()).throw(StoreUnavailableError("away")))
    with pytest.raises(Exception, match="not complete"):
        Deletions(engine, store).delete(name, Family.AUXILIARY_FILE, "operator")
    monkeypatch.undo()
    add(engine, name, Family.AUXILIARY_FILE, 0, 1)
    assert Deletions(engine, store).resume() == 1
    assert store.head("rs-s1-aux", name) is not None
    assert rows(engine, Product) == 1
