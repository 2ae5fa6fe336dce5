"""Downlink sessions from a CADIP station into the object store, with real PostgreSQL, Kafka and S3."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from lxml import etree
from pydantic import HttpUrl
from sqlalchemy import text
from tests.means.cadip import Cadip, Downlink
from tests.means.chain import kafka_variables, s3_variables
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.services.conftest import CHECKOUT, wait_until
from tests.services.ingesting import Ingestion

from refsys.services.common.families import Family
from refsys.services.common.messages import CATALOG_JOB, CatalogJob
from refsys.services.common.settings import DatabaseSettings
from refsys.services.common.store import ObjectStore
from refsys.services.ingestion import inbox, worker
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.sources import resume
from refsys.services.ingestion.stations import CadipStation, Inbox
from refsys.services.ingestion.stations.sampling import Window

pytest_plugins = ("tests.services.ingesting",)

INBOXES = [
    Inbox(match="DCS_.*", family=Family.EDRS_SESSION, mission="S1", station="MTI_", priority=5),
    Inbox(match="DCS_.*", family=Family.EDRS_SESSION, mission="S2", station="MTI_"),
]
FILES, RETRANSFER = "rs-session-files", "rs-session-retransfer"


def station_of(means: Cadip, folder: Path, name: str = "CADIP_MTI", **changes: object) -> CadipStation:
    password = folder / f"{name}.password"
    password.write_text(means.password)
    station = CadipStation(
        name=name,
        url=HttpUrl(means.url),
        token_url=HttpUrl(means.token_url),
        client_id=means.client_id,
        username=means.username,
        password_file=password,
        poll_seconds=0.5,
        page_size=4,
        inboxes=INBOXES,
    )
    return station.model_copy(update=changes)


@pytest.fixture
def means() -> Iterator[Cadip]:
    with Cadip() as means:
        yield means


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "RETRY_BASE_SECONDS", 0.1)
    monkeypatch.setattr(worker, "BUSY_PAUSE_SECONDS", 0.2)


def poll(chain: Ingestion, name: str = "CADIP_MTI") -> int:
    return chain.poll(name)


def state(chain: Ingestion, session: Downlink) -> str:
    query = text("SELECT state FROM ingestion.downlink_session WHERE session_id = :session")
    with chain.engine.connect() as connection:
        return str(connection.execute(query, {"session": session.session_id}).scalar_one())


def stored(store: ObjectStore, bucket: str, session: Downlink, retransfer: bool = False) -> None:
    """All blocks of a session are in the store as the station has them."""
    for block in session.blocks:
        if block.retransfer == retransfer:
            with store.open(bucket, f"{block.session_id}/ch_{block.channel}/{block.name}") as file:
                assert file.read() == b"".join(block.content())


def dsib(store: ObjectStore, session: Downlink, channel: int, bucket: str = FILES) -> bytes:
    key = f"{session.session_id}/ch_{channel}/DCS_04_{session.session_id}_ch{channel}_DSIB.xml"
    with store.open(bucket, key) as file:
        return file.read()


def jobs(chain: Ingestion, expected: int) -> list[CatalogJob]:
    return [CatalogJob.model_validate_json(item) for item in chain.bus.read(CATALOG_JOB, expected)]


def test_a_session_arrives_complete_and_once_with_its_dsibs(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=2, blocks=3, size=9 * 2**20)
    chain = ingestion(station_of(means, tmp_path))
    assert poll(chain) == 8
    assert poll(chain) == 0
    assert state(chain, session) == "DONE"
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 8, seconds=90, what="all stored")
    stored(store, FILES, session)
    found = jobs(chain, 8)
    assert len(found) == 8
    assert {job.product_family for job in found} == {"EDRS_SESSION"}
    assert {job.station_name for job in found} == {"MTI_"}
    assert {job.satellite_id for job in found} == {"S1A"}
    assert {job.key_object_storage.rpartition("/")[0] for job in found} == {
        f"{session.session_id}/ch_{channel}" for channel in (1, 2)
    }
    for channel in (1, 2):
        root = etree.fromstring(dsib(store, session, channel))
        assert root.tag == "DCSU_Session_Information_Block"
        assert root.findtext("session_id") == session.session_id
        assert root.findtext("time_start") == f"{session.start:%Y-%m-%dT%H:%M:%SZ}"
        assert root.findtext("data_size") == str(3 * 9 * 2**20)
        assert [item.text for item in root.findall("dsdb_list/dsdb_name")] == [
            block.name for block in session.blocks if block.channel == channel
        ]
    assert chain.value("SELECT quality->>'AcquiredTFs' FROM ingestion.session_channel WHERE channel = 1") == "1000"


def test_a_dsib_is_the_same_when_it_is_made_again(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=1)
    chain = ingestion(station_of(means, tmp_path))
    poll(chain)
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 4)
        first = dsib(store, session, 1)
        with chain.engine.begin() as connection:
            for table in ("session_channel", "downlink_session", "inbox_entry", "stored_file", "station_cursor"):
                connection.execute(text(f"DELETE FROM ingestion.{table}"))  # noqa: S608  # a constant
        poll(chain)
        wait_until(lambda: chain.count("STORED") == 4)
    assert dsib(store, session, 1) == first


def test_the_dsib_of_the_station_is_taken_where_there_is_one(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=2, blocks=2, dsib=True)
    chain = ingestion(station_of(means, tmp_path))
    assert poll(chain) == 6
    assert state(chain, session) == "DONE"
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 6)
    stored(store, FILES, session)
    assert chain.value("SELECT count(*) FROM ingestion.session_channel WHERE dsib IS NOT NULL") == 0


@pytest.mark.parametrize("announced", [True, False])
def test_a_retransfer_opens_the_session_again(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore, announced: bool
) -> None:
    session = means.add_session(channels=2, blocks=2)
    chain = ingestion(station_of(means, tmp_path))
    assert poll(chain) == 6
    with chain.engine.begin() as connection:  # long after the overlap
        connection.execute(text("UPDATE ingestion.downlink_session SET completed = now() - interval '1 day'"))
    assert poll(chain) == 0
    means.retransfer(session, 2, announced=announced)
    assert poll(chain) == 3
    assert state(chain, session) == "DONE"
    assert poll(chain) == 0
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 9)
    stored(store, FILES, session)
    stored(store, RETRANSFER, session, retransfer=True)
    assert b"_ch2_DSDB_00002.raw" in dsib(store, session, 2, RETRANSFER)
    assert sorted(job.product_family for job in jobs(chain, 9)).count("SESSION_RETRANSFER") == 3


def test_rows_that_become_visible_late_are_not_missed(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=1, blocks=4)
    late = session.blocks[1].name
    means.faults.hidden = {late}
    chain = ingestion(station_of(means, tmp_path))
    assert poll(chain) == 3  # the final block is there, but not all before it: no DSIB yet
    assert state(chain, session) == "OPEN"
    newer = means.add_session("S1C", channels=1, blocks=1)
    assert poll(chain) == 2
    assert state(chain, newer) == "DONE"
    means.faults.hidden = set()
    assert poll(chain) == 2
    assert state(chain, session) == "DONE"
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 7)
    assert late.encode() in dsib(store, session, 1)


@pytest.mark.parametrize("spelling", ["SessionId", "SessionID"])
def test_twice_listed_rows_and_both_spellings_are_understood(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], spelling: str
) -> None:
    means.faults.spelling = spelling
    session = means.add_session(channels=2, blocks=2)
    means.faults.duplicates = {session.blocks[0].name}
    chain = ingestion(station_of(means, tmp_path))
    assert poll(chain) == 6
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 6)
    assert len(jobs(chain, 6)) == 6


def test_a_station_with_a_wrong_clock_hides_nothing(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion]
) -> None:
    means.faults.skew = timedelta(hours=-5)
    means.faults.future_rows = 1
    means.add_session(channels=1, blocks=1)
    chain = ingestion(station_of(means, tmp_path))
    assert poll(chain) == 2
    assert chain.value("SELECT count(*) FROM ingestion.station_cursor WHERE publication_date > now()") == 0


def test_a_session_is_taken_while_it_comes_in(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=2, blocks=4, size=50_000, rate=50_000)
    chain = ingestion(station_of(means, tmp_path))
    seen = [poll(chain)]
    assert 0 < seen[0] < 10

    def complete() -> bool:
        seen.append(poll(chain))
        return state(chain, session) == "DONE"

    with chain.run_worker():
        wait_until(complete)
        wait_until(lambda: chain.count("STORED") == 10)
    assert sum(seen) == 10
    stored(store, FILES, session)


@pytest.mark.usefixtures("fast")
def test_cut_downloads_are_resumed_by_range(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=1, blocks=2, size=10 * 2**20)
    chain = ingestion(station_of(means, tmp_path))
    poll(chain)
    means.faults.cuts = 0.6
    with chain.run_worker():

        def done() -> bool:
            means.faults.cuts *= 0.99
            poll(chain)
            return chain.count("STORED") == 3

        wait_until(done, seconds=90)
    stored(store, FILES, session)
    values = [request for request in means.requests if request.endswith("$value")]
    assert len(values) > 2
    assert chain.value("SELECT count(*) FROM ingestion.quarantine") == 0


@pytest.mark.usefixtures("fast")
def test_a_wrong_size_is_quarantined_and_nothing_stored(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    session = means.add_session(channels=1, blocks=2)
    wrong = session.blocks[0]
    means.faults.wrong_sizes = {wrong.name}
    station = station_of(means, tmp_path)
    chain = ingestion(station)
    poll(chain)
    with chain.run_worker():

        def quarantined() -> bool:
            poll(chain)
            return chain.count("QUARANTINED") == 1

        wait_until(quarantined)
    assert chain.count("STORED") == 2
    assert ", announced " in str(chain.value("SELECT reason FROM ingestion.quarantine"))
    assert store.head(FILES, f"{session.session_id}/ch_1/{wrong.name}") is None


@pytest.mark.usefixtures("fast")
def test_a_faulty_or_slow_station_does_not_hold_up_another(
    means: Cadip,
    tmp_path: Path,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resume, "WAIT_SECONDS", 1.0)
    with Cadip() as slow, Cadip() as broken:
        for bad in (slow, broken):
            bad.add_session("S1D", channels=2, blocks=20, size=2**18)
        chain = ingestion(
            station_of(means, tmp_path),
            station_of(slow, tmp_path, "SLOW", bandwidth_bytes=100_000),
            station_of(broken, tmp_path, "BROKEN"),
        )
        chain.poll("SLOW")
        chain.poll("BROKEN")
        broken.faults.errors = 1
        with chain.run_worker():
            wait_until(lambda: any("$value" in item for item in slow.requests), what="the slow station is read")
            good = means.add_session(channels=2, blocks=3)
            poll(chain)
            query = "SELECT count(*) FROM ingestion.inbox_entry WHERE station = 'CADIP_MTI' AND state = 'STORED'"
            wait_until(lambda: chain.value(query) == 8, seconds=40, what="the good station's session")
            left = chain.value("SELECT count(*) FROM ingestion.inbox_entry WHERE station='SLOW' AND state='QUEUED'")
            assert int(left) > 20
            with pytest.raises(StationError):
                chain.poll("BROKEN")
        stored(store, FILES, good)


def test_a_worker_killed_in_mid_file_loses_and_doubles_nothing(  # noqa: PLR0917  # fixtures
    means: Cadip,
    tmp_path: Path,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    database: DatabaseSettings,
    kafka_server: Kafka,
    s3_server: S3,
) -> None:
    session = means.add_session(channels=2, blocks=2, size=20 * 2**20)
    station = station_of(means, tmp_path)
    chain = ingestion(station)
    poll(chain)
    stations_file = tmp_path / "stations.yaml"
    stations_file.write_text(yaml.safe_dump([station.model_dump(mode="json", exclude_none=True)]))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_OPERATIONS_PORT": "0",
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_STATIONS_FILE": str(stations_file),
        **s3_variables(s3_server),
        **kafka_variables(kafka_server, "ingestion-worker"),
    }

    def start() -> "subprocess.Popen[bytes]":
        with (tmp_path / "worker.log").open("ab") as log:
            command = [sys.executable, "-m", "refsys.services", "ingestion-worker"]
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    means.faults.slow_seconds = 0.2
    process = start()
    wait_until(lambda: sum("$value" in item for item in means.requests) >= 2, seconds=60, what="files are read")
    time.sleep(1)
    process.kill()
    process.wait()
    assert chain.count("STORED") < 4
    means.faults.slow_seconds = 0
    process = start()
    try:
        wait_until(lambda: chain.count("STORED") == 6, seconds=90, what="all stored")
    finally:
        process.terminate()
        assert process.wait(60) == 0
    stored(store, FILES, session)
    assert {job.storage_path for job in jobs(chain, 6)} == {
        f"s3://{FILES}/{key}"
        for block in session.blocks
        for folder in [f"{session.session_id}/ch_{block.channel}"]
        for key in (f"{folder}/{block.name}", f"{folder}/DCS_04_{session.session_id}_ch{block.channel}_DSIB.xml")
    }


def test_sessions_outside_the_windows_are_seen_but_not_fetched(
    means: Cadip, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    friday = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    inside = means.add_session(downlink=friday, blocks=1)
    outside = means.add_session(downlink=friday + timedelta(hours=3), blocks=1)
    other = means.add_session("S2B", downlink=friday + timedelta(hours=3), blocks=1)
    sampling = {"S1": [Window(start="0 19 * * 5", minutes=240)]}
    chain = ingestion(station_of(means, tmp_path), sampling=sampling)
    assert poll(chain) == 8
    assert poll(chain) == 0
    assert chain.count("FILTERED") == 4
    reason = str(chain.value("SELECT DISTINCT reason FROM ingestion.inbox_entry WHERE state = 'FILTERED'"))
    assert reason == "downlink at 2026-11-20T23:30:00Z is outside the sampling windows of S1"
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 8)
    stored(store, FILES, inside)
    stored(store, FILES, other)
    assert store.head(FILES, f"{outside.session_id}/ch_1/{outside.blocks[0].name}") is None
    assert {state(chain, session) for session in (inside, outside, other)} == {"DONE"}
