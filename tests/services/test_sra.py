"""Resource allocation over a real PostgreSQL, AUXIP and ingestor: plans are made and published."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import HttpUrl
from tests.means.certificates import Authority
from tests.means.chromium import Browser, Scheme, browser
from tests.means.orbits import mission_plan, orbit_file, states
from tests.services.conftest import wait_until
from tests.services.hosting import Opened, client_settings, gateway, intake, tokens
from tests.services.ingesting import Ingestion
from tests.services.prip import Prip
from tests.services.serving import serving
from tests.services.uploading import Uploading

from refsys.services.catalogue.service import Catalogue
from refsys.services.common.bus import Producer
from refsys.services.common.families import UPLOADS_BUCKET
from refsys.services.common.messages import (
    CATALOG_EVENT,
    CATALOG_JOB,
    COMPRESSION_EVENT,
    COMPRESSION_JOB_LOW,
    CatalogEvent,
    CatalogJob,
    CompressionEvent,
)
from refsys.services.common.settings import KafkaSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.components.stations import AUXILIARY_INBOXES, PLANS_INBOX
from refsys.services.compression import worker
from refsys.services.compression.filter import job_of
from refsys.services.compression.gate import Gate
from refsys.services.distribution.publisher import publish as publish_product
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.stations import Inbox, S3Station
from refsys.services.ingestor.rules import STATION
from refsys.services.orbits.known import Known
from refsys.services.orbits.readers import read
from refsys.services.sra import migrations
from refsys.services.sra.publication import Ingestor, IngestorSettings, Publication
from refsys.services.sra.rules import read_rules
from refsys.services.sra.service import NAME, create_app

pytest_plugins = (
    *("tests.services.hosting", "tests.services.prip"),
    *("tests.services.ingesting", "tests.services.uploading"),
)

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)  # which passes compete for an antenna depends on when it is
SATELLITES = ("S1A", "S1C", "S2A", "S2B", "S2C", "S3A", "S3B")
VIEWER, PLANNER = gateway("vera", "sra-viewer"), gateway("paul", "sra-viewer", "sra-planner")
SCREENS: list[tuple[int, Scheme]] = [(320, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def orbits() -> list[tuple[str, bytes]]:
    hour = timedelta(hours=1)
    segments = [(NOW + n * hour, NOW + (n + 0.3) * hour, "IW") for n in range(1, 23)]
    plan = mission_plan("S1A", NOW, NOW + 24 * hour, segments)
    return [*(orbit_file(states(name, NOW - hour, 26 * 3600, 60), name, "AUX_PREORB") for name in SATELLITES), plan]


@pytest.fixture
def known(application: Opened, orbits: list[tuple[str, bytes]]) -> Known:
    found = Known(application(NAME, migrations.FOLDER))
    for name, content in orbits:
        assert found.add(name, NOW, read(name, content))
    return found


@pytest.fixture
def api(known: Known) -> Iterator[TestClient]:
    with TestClient(create_app(known, read_rules()), headers=PLANNER, follow_redirects=False) as client:
        yield client


def make(api: TestClient, hours: int = 12, reason: str = "first try") -> dict[str, Any]:
    answer = api.post("/api/v1/plans", json={"start": NOW.isoformat(), "hours": hours, "reason": reason})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_plan_tells_who_why_and_each_decision(api: TestClient) -> None:
    plan = make(api)
    assert (plan["version"], plan["author"], plan["reason"], plan["state"]) == (1, "paul", "first try", "draft")
    assert plan["rules"]["version"] == 1
    assert plan["chosen"] > 10
    assert {"antenna-taken", "satellite-busy"} <= set(plan["refused"])
    assert plan["chosen"] + sum(plan["refused"].values()) == len(plan["decisions"])
    assert all(each["text"] and each["rule"] for each in plan["decisions"])
    again = make(api, reason="the same once more")
    assert again["version"] == 2
    assert again["decisions"] == plan["decisions"]
    assert {each["name"] for each in plan["files"]}.isdisjoint(each["name"] for each in again["files"])
    assert [each["version"] for each in api.get("/api/v1/plans").json()["plans"]] == [2, 1]
    file = next(each for each in plan["files"] if each["contacts"])
    text = api.get(f"/api/v1/plans/1/files/{file['name']}").raise_for_status()
    assert len(read(file["name"], text.content).contacts) == file["contacts"]


def test_viewers_see_and_planners_plan(api: TestClient) -> None:
    make(api)
    body = {"start": NOW.isoformat(), "hours": 6, "reason": "because"}
    assert api.get("/api/v1/plans/1", headers=VIEWER).status_code == 200
    assert "<form" not in api.get("/", headers=VIEWER).text
    assert api.get("/", headers=gateway("eve")).status_code == 403
    assert api.post("/api/v1/plans", json=body, headers=VIEWER).status_code == 403
    assert api.post("/api/v1/plans/1/publish", json={"reason": "because"}, headers=VIEWER).status_code == 403
    form = {"start": "2026-01-01", "hours": "6", "reason": "because"}
    assert api.post("/plans", data=form, headers=VIEWER).status_code == 403
    assert api.get("/api/v1/plans/1").json()["state"] == "draft"


def test_what_can_not_be_planned_is_refused(api: TestClient) -> None:
    def status(**changes: Any) -> int:
        body = {"start": NOW.isoformat(), "hours": 6, "reason": "because"} | changes
        return int(api.post("/api/v1/plans", json=body).status_code)

    assert status(reason="  ") == 400
    assert status(reason="x" * 501) == 400
    assert status(hours=0) == 400
    assert status(start="2026-11-23T00:00:00") == 400  # of no time zone
    assert status(start="2019-01-01T00:00:00Z") == 409
    assert api.get("/api/v1/plans/7").status_code == 404
    assert api.post("/api/v1/plans/7/publish", json={"reason": "because"}).status_code == 404
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api.post("/plans", content=b"x" * 20_000, headers=kind).status_code == 413
    assert api.post("/plans", json={}).status_code == 415
    assert api.get("/api/v1/plans").json() == {"plans": []}


def test_an_older_plan_does_not_replace_a_published_one(api: TestClient) -> None:
    make(api)
    make(api)
    assert api.post("/api/v1/plans/2/publish", json={"reason": "it is right"}).json()["state"] == "publishing"
    assert api.post("/api/v1/plans/2/publish", json={"reason": "again"}).json()["publish_reason"] == "it is right"
    refused = api.post("/api/v1/plans/1/publish", json={"reason": "no, this"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "Superseded")


def test_the_page_makes_and_publishes_plans(api: TestClient) -> None:
    form = {"start": f"{NOW:%Y-%m-%dT%H:%M}", "hours": "6", "reason": "by the <form>"}
    made = api.post("/plans", data=form)
    assert (made.status_code, made.headers["location"]) == (303, "./?version=1")
    page = api.get("/", params={"version": 1}).text
    assert "by the &lt;form&gt;" in page
    assert "Publish plan 1" in page
    published = api.post("/plans/1/publish", data={"reason": "it is good"})
    assert (published.status_code, published.headers["location"]) == (303, "../../?version=1")
    assert "publishing" in api.get("/").text
    assert "Publish plan 1" not in api.get("/").text


@pytest.fixture
def uploads_station(s3: S3Settings) -> S3Station:
    """The bucket of uploads as an environment has it in its stations file."""
    return S3Station(
        name=STATION,
        url=HttpUrl(str(s3.endpoint)),
        bucket=UPLOADS_BUCKET,
        access_key_file=s3.access_key_file,
        secret_key_file=s3.secret_key_file,
        ca_file=s3.ca_file,
        history_days=None,
        inboxes=[Inbox.model_validate(each) for each in (PLANS_INBOX, *AUXILIARY_INBOXES)],
    )


def test_a_published_plan_comes_out_of_the_auxip(  # noqa: PLR0917  # fixtures
    api: TestClient,
    known: Known,
    uploading: Uploading,
    uploads_station: S3Station,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
    prip: Prip,
    authority: Authority,
    tmp_path: Path,
) -> None:
    plan = make(api, hours=1)
    names = {each["name"] for each in plan["files"]}
    api.post("/api/v1/plans/1/publish", json={"reason": "for today"}).raise_for_status()
    with tokens(["ingestor-user"], uploading.issuer) as token_url:
        settings = IngestorSettings.model_validate({"url": uploading.base})
        ingestor = Ingestor(settings, client_settings(token_url, tmp_path, authority))
        publication = Publication(known.engine, ingestor)
        _through_the_chain(publication, uploading, ingestion(uploads_station), store, kafka_settings)
        ingestor.close()
    done = api.get("/api/v1/plans/1").json()
    assert done["state"] == "published"
    assert all(each["product"] for each in done["files"])
    assert any(each["name"].startswith("S1") for each in done["files"])
    with tokens(["prip-user"]) as token_url:
        client = client_settings(token_url, tmp_path, authority)
        with intake(known, prip.url, client) as reading:
            assert reading.poll() == len(names)
    contacts = known.contacts(NOW, NOW + timedelta(hours=2))  # those that begin in the hour may end later
    chosen = [each for each in plan["decisions"] if each["rule"] == "chosen"]
    assert sorted((each.satellite, each.station, each.antenna) for each in contacts) == sorted(
        (each["satellite"], each["station"], each["antenna"]) for each in chosen
    )


def _through_the_chain(
    publication: Publication,
    uploading: Uploading,
    chain: Ingestion,
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    """Let ingestor, ingestion, catalogue, compression and publisher do what they do all the time."""
    catalogue = Catalogue(uploading.engine, store, Producer(kafka_settings("catalogue"), "catalogue"))
    stop, name = threading.Event(), "compression-worker"
    compression = worker.Worker(
        engine=uploading.engine,
        store=store,
        producer=Producer(kafka_settings(name), name),
        gate=Gate(worker.WEIGHTS, worker.SLOTS, stop),
        topic=COMPRESSION_JOB_LOW,
        stop=stop,
    )
    done: set[str] = set()
    archived: set[str] = set()

    def turned() -> bool:
        left = publication.turn()
        chain.poll(STATION)
        for item in chain.bus.read(CATALOG_JOB, chain.count("STORED")):
            job = CatalogJob.model_validate_json(item)
            if job.key_object_storage not in done:
                catalogue.handle(job)
                done.add(job.key_object_storage)
        catalogue.producer.flush()
        for item in chain.bus.read(CATALOG_EVENT, len(done)):
            event = CatalogEvent.model_validate_json(item)
            packing = job_of(event)
            if packing is None:
                publish_product(uploading.engine, event)
            elif packing.key_object_storage not in archived:
                compression.handle(packing)
                archived.add(packing.key_object_storage)
        compression.producer.flush()
        for item in chain.bus.read(COMPRESSION_EVENT, len(archived)):
            publish_product(uploading.engine, CompressionEvent.model_validate_json(item))
        told.append((left, chain.count("STORED"), len(done)))
        return not left

    told: list[tuple[int, int, int]] = []
    with chain.run_worker():
        try:
            wait_until(turned, 180, "all files to be published")
        except AssertionError:
            raise AssertionError(f"files left, stored, catalogued: {told}") from None


def test_files_wait_for_an_ingestor_that_is_away(
    api: TestClient, known: Known, authority: Authority, tmp_path: Path
) -> None:
    make(api, hours=2)
    api.post("/api/v1/plans/1/publish", json={"reason": "for today"}).raise_for_status()
    with tokens(["ingestor-user"]) as token_url:
        settings = IngestorSettings.model_validate({"url": "https://localhost:1"})
        ingestor = Ingestor(settings, client_settings(token_url, tmp_path, authority))
        with pytest.raises(StationError):
            Publication(known.engine, ingestor).turn()
        ingestor.close()
    assert api.get("/api/v1/plans/1").json()["state"] == "publishing"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


def test_the_page_is_readable_and_takes_nothing_from_anywhere(
    api: TestClient, known: Known, authority: Authority, chromium: Browser, tmp_path: Path
) -> None:
    make(api, 24, "the day's downlinks, after the manoeuvre of S1C")
    with serving(create_app(known, read_rules()), "sra", authority) as url:
        for width, scheme in SCREENS:
            with chromium.page(width, scheme, PLANNER) as page:
                page.open(f"{url}/")
                assert page.complaints == []
                assert [each for each in page.requests if not each.startswith("data:")] == [f"{url}/"]
                assert not page.value(WIDER), width
                assert page.value("document.querySelectorAll('.lanes rect.s1').length") > 5
                assert page.value("document.querySelectorAll('form').length") == 2
                page.screenshot(tmp_path / f"sra-{width}-{scheme}.png")
                page.value("document.querySelectorAll('details').forEach(each => each.open = true)")
                assert not page.value(WIDER), f"{width}, all open"
