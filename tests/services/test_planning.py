"""The Mission Planning view over a real PostgreSQL, a real AUXIP, and in a real browser."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from tests.means.certificates import Authority
from tests.means.chromium import Browser, Scheme, browser
from tests.means.orbits import REAL, mission_plan, orbit_file, states, station_plan
from tests.services.hosting import Opened, client_settings, gateway, intake, tokens
from tests.services.prip import Prip, stored
from tests.services.serving import serving

from refsys.services.common.store import ObjectStore
from refsys.services.ingestion.errors import StationError
from refsys.services.orbits.intake import Intake
from refsys.services.orbits.known import Known
from refsys.services.orbits.passes import Pass, Sampled
from refsys.services.orbits.readers import read
from refsys.services.orbits.stations import read_stations
from refsys.services.orbits.trajectory import Trajectory
from refsys.services.planning import migrations
from refsys.services.planning.service import NAME, create_app

pytest_plugins = ("tests.services.hosting", "tests.services.prip")

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
VIEWER = gateway("anna", "mission-planning-viewer")
SATELLITES = ("S1A", "S1C", "S2B", "S3A")
SCREENS: list[tuple[int, Scheme]] = [(320, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]
PAGE_BYTES = 150_000
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def planned() -> list[tuple[str, bytes]]:
    """Orbits of four satellites, what S1A is to acquire, and contacts: one in vain, two on one antenna at once."""
    files, passes = [], {}
    for name in SATELLITES:
        # From before the shown day until after it, a vector a minute, and for one a vector a revolution.
        vectors = states(name, NOW - DAY / 12, 28 * 3600, 5920 if name == "S1C" else 60)
        files.append(orbit_file(vectors, name, "MPL_ORBPRE" if name == "S1C" else "AUX_PREORB"))
        orbit = read(*files[-1]).orbit
        assert orbit is not None
        sampled = Sampled.between(name, Trajectory([orbit.dense()]), NOW.timestamp(), (NOW + DAY).timestamp())
        passes[name] = sampled.passes(read_stations()["SGS_"])
    hour = DAY / 24
    segments = [(NOW + n * hour, NOW + (n + 0.2) * hour, "IW" if n % 2 else "EW") for n in range(1, 20, 3)]
    files.append(mission_plan("S1A", NOW, NOW + DAY, segments))
    for name in SATELLITES[:3]:
        contacts = [
            (_at(each.rise + 20), _at(each.set - 20), "SG1" if n % 2 else "SG2")
            for n, each in enumerate(passes[name])
            if each.set - each.rise > 120
        ]
        if name == "S2B":  # with S1C, on its antenna, and where it can't be seen
            minute = timedelta(seconds=60)
            theirs = [(each.start + minute, each.stop + minute, each.antenna) for each in read(*files[-1]).contacts]
            contacts.append(next(each for each in theirs if not _seen(passes[name], each[0], each[1])))
        files.append(station_plan(name, "SGS_", (NOW, NOW + DAY), sorted(contacts)))
    return files


def _seen(passes: list[Pass], start: datetime, stop: datetime) -> bool:
    return any(each.rise < stop.timestamp() and start.timestamp() < each.set for each in passes)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.fixture(scope="module")
def files() -> list[tuple[str, bytes]]:
    return planned()


@pytest.fixture
def known(application: Opened) -> Known:
    return Known(application(NAME, migrations.FOLDER))


@pytest.fixture
def reading(known: Known, prip: Prip, authority: Authority, tmp_path: Path) -> Iterator[Intake]:
    with tokens(["prip-user"]) as token_url:
        client = client_settings(token_url, tmp_path, authority)
        with intake(known, prip.url, client) as found:
            yield found


def publish(engine: Engine, store: ObjectStore, files: list[tuple[str, bytes]]) -> None:
    for name, content in files:
        stored(engine, store, name, content)


def count(known: Known, table: str) -> int:
    with known.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def test_files_are_read_once_and_shown(
    engine: Engine, store: ObjectStore, known: Known, reading: Intake, files: list[tuple[str, bytes]]
) -> None:
    other = ("S1A_OPER_AUX_OBMEMC_PDMC_20140201T000000.xml", b"<x/>")
    broken = ("S1A_OPER_AUX_RESORB_OPOD_20260101T000000_V20260101T000000_20260101T030000.EOF", b"<Earth_Explorer_File>")
    publish(engine, store, [*files, other, broken, (REAL.name, REAL.read_bytes())])
    assert reading.poll() == len(files) + 1
    assert reading.poll() == 0
    assert known.counts() == {"orbit": 5, "acquisitions": 1, "contacts": 3, "unreadable": 1}
    refused = next(each for each in known.files() if each["kind"] == "unreadable")
    assert (refused["name"], "malformed" in refused["reason"]) == (broken[0], True)
    before = {table: count(known, table) for table in ("orbit_states", "planned_acquisition", "station_contact")}
    with known.engine.begin() as connection:  # as if it was killed before it noted how far it came
        connection.execute(text("DELETE FROM reading_cursor"))
    assert reading.poll() == 0
    assert {table: count(known, table) for table in before} == before

    with TestClient(create_app(known), headers=VIEWER) as api:
        view = api.get("/api/v1/overview", params={"start": f"{NOW:%Y-%m-%dT%H:%M}"}).raise_for_status().json()
        files_shown = api.get("/api/v1/files").raise_for_status().json()["files"]
        tracks = api.get("/api/v1/tracks").raise_for_status().json()
        past = api.get("/api/v1/overview", params={"start": "2017-12-13T10:30", "hours": 3}).raise_for_status().json()
        alone = api.get("/api/v1/overview", params={"satellite": "S2B"}).raise_for_status().json()
    assert view["satellites"] == list(SATELLITES)
    assert len(view["acquisitions"]) == 7
    assert len([each for each in view["passes"] if each["station"] == "SGS_"]) > 40
    found = {each["rule"] for each in view["conflicts"]}
    assert {"antenna-overlap", "outside-visibility"} <= found
    wrong = [each for each in view["contacts"] if "outside-visibility" in each["conflicts"]]
    assert [each["satellite"] for each in wrong] == ["S2B"]
    assert len(files_shown) == len(files) + 2
    assert {each["properties"]["satellite"] for each in tracks["features"]} == set(SATELLITES)
    assert past["satellites"] == ["S1A"]
    assert past["passes"]
    assert {each["satellite"] for each in alone["passes"]} == {"S2B"}


def test_what_becomes_visible_late_is_read(engine: Engine, store: ObjectStore, known: Known, reading: Intake) -> None:
    """A row with an older PublicationDate than the last that was seen, within the overlap."""
    vectors = states("S1A", NOW, 600, 60)
    first, late = orbit_file(vectors, "S1A"), orbit_file(vectors, "S1A", created=NOW + DAY)
    publish(engine, store, [first])
    assert reading.poll() == 1
    publish(engine, store, [late])
    with engine.begin() as connection:
        moved = text(
            "UPDATE distribution.product SET publication_date = publication_date - interval '30 minutes' "
            "WHERE name = :name"
        )
        assert connection.execute(moved, {"name": late[0]}).rowcount == 1
    assert reading.poll() == 1
    assert known.missing([first[0], late[0]]) == set()


def test_the_newest_plan_counts(engine: Engine, store: ObjectStore, known: Known, reading: Intake) -> None:
    hour = DAY / 24
    before = [(NOW + n * hour, NOW + (n + 0.1) * hour, "SG1") for n in (1, 5, 9)]
    old = station_plan("S1A", "SGS_", (NOW, NOW + DAY), before)
    new = station_plan(
        "S1A", "SGS_", (NOW + 4 * hour, NOW + DAY), [(NOW + 6 * hour, NOW + 6.1 * hour, "SG2")], created=NOW
    )
    elsewhere = station_plan("S1A", "MTI_", (NOW, NOW + DAY), [(NOW + 5 * hour, NOW + 5.1 * hour, "MT1")], created=NOW)
    publish(engine, store, [new, old, elsewhere])
    assert reading.poll() == 3
    found = [(each.station, each.start) for each in known.contacts(NOW, NOW + DAY)]
    assert found == [("SGS_", NOW + hour), ("MTI_", NOW + 5 * hour), ("SGS_", NOW + 6 * hour)]


def test_an_auxip_that_is_away_is_told_and_read_later(  # noqa: PLR0917  # fixtures
    engine: Engine, store: ObjectStore, known: Known, prip: Prip, authority: Authority, tmp_path: Path
) -> None:
    publish(engine, store, [orbit_file(states("S1A", NOW, 600, 60), "S1A")])
    with tokens(["prip-user"]) as token_url:
        settings = client_settings(token_url, tmp_path, authority)
        with intake(known, "https://localhost:1", settings) as away, pytest.raises(StationError):
            away.poll()
        with intake(known, prip.url, settings) as there:
            assert there.poll() == 1


def test_only_viewers_see(known: Known) -> None:
    with TestClient(create_app(known)) as api:
        assert api.get("/health").text == "ok\n"
        assert "refsys_orbits_files_total" in api.get("/metrics").text
        assert api.get("/").status_code == 401
        assert api.get("/", headers=gateway("anna")).status_code == 403
        assert api.get("/api/v1/overview", headers=gateway("anna", "sra-viewer")).status_code == 403
        assert api.get("/api/v1/overview", headers={**VIEWER, "x-refsys-roles": "viewer"}).status_code == 401
        assert api.get("/", headers=VIEWER).status_code == 200
        for wrong in ({"start": "soon"}, {"start": "1066-10-14"}, {"hours": 100}, {"satellite": "<b>"}):
            assert api.get("/api/v1/overview", params=wrong, headers=VIEWER).status_code == 400, wrong


def test_health_does_not_ask_the_database(known: Known) -> None:
    known.engine.dispose()
    with TestClient(create_app(known)) as api:
        assert api.get("/health").status_code == 200


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


def test_the_page_is_readable_and_takes_nothing_from_anywhere(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    known: Known,
    reading: Intake,
    files: list[tuple[str, bytes]],
    authority: Authority,
    chromium: Browser,
    tmp_path: Path,
) -> None:
    publish(engine, store, files)
    reading.poll()
    with serving(create_app(known), "mission-planning", authority) as url:
        for width, scheme in SCREENS:
            with chromium.page(width, scheme, VIEWER) as page:
                page.open(f"{url}/")
                assert page.complaints == []
                assert [each for each in page.requests if not each.startswith("data:")] == [f"{url}/"]
                assert page.value("document.documentElement.outerHTML.length") < PAGE_BYTES + 200 * 400
                assert not page.value(WIDER), width
                assert page.value("document.querySelectorAll('.map .track').length") == len(SATELLITES)
                assert page.value("document.querySelectorAll('rect.wrong').length") >= 2
                assert page.value("getComputedStyle(document.querySelector('.map .track')).fill") == "none"
                page.screenshot(tmp_path / f"planning-{width}-{scheme}.png")
