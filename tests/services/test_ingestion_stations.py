"""Trigger and worker with stations other than OData's: sessions of an XBIP station, products of an archive."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.means import webdav
from tests.means.certificates import Authority
from tests.means.lta import Lta
from tests.means.tree import make_session, write
from tests.means.webdav import WebDav
from tests.services.conftest import wait_until
from tests.services.ingesting import Ingestion

from refsys.services.common.families import Family
from refsys.services.common.messages import CATALOG_JOB, CatalogJob
from refsys.services.common.store import ObjectStore
from refsys.services.ingestion import inbox, worker
from refsys.services.ingestion.errors import StationBusyError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import xbip as webdav_client
from refsys.services.ingestion.stations import Inbox, LtaStation, XbipStation

pytest_plugins = ("tests.services.ingesting",)

SESSIONS = [Inbox(match="DCS_.*", family=Family.EDRS_SESSION, mission="S1", station="MTI_")]
PRODUCTS = [Inbox(match="S1.*", family=Family.AUXILIARY_FILE, mission="S1")]
NAME = "S1A_OPER_AUX_RESORB_OPOD_20260103T0{0}0000_V20260103T000000_20260103T030000.EOF"


def keys(files: dict[str, bytes]) -> dict[str, bytes]:
    """The keys that files of sessions have in their bucket."""
    found = {}
    for path, data in files.items():
        *_, session, channel, name = path.split("/")
        found[f"{session}/ch_{channel[-1]}/{name}"] = data
    return found


@pytest.fixture
def xbip(tmp_path: Path, authority: Authority) -> Iterator[tuple[Path, XbipStation]]:
    """The folder of a station, and the station."""
    root, password = tmp_path / "tree", tmp_path / "password"
    root.mkdir()
    password.write_text(webdav.PASSWORD)
    with WebDav(root, authority.issue("station")) as means:
        yield (
            root,
            XbipStation.model_validate(
                {
                    "name": "XBIP",
                    "url": means.url,
                    "username": webdav.USERNAME,
                    "password_file": password,
                    "ca_file": authority.ca_file,
                    "inboxes": SESSIONS,
                }
            ),
        )


def test_sessions_of_an_xbip_station_are_stored_once(
    xbip: tuple[Path, XbipStation], ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    root, station = xbip
    nominal = make_session(root, station="MTI_", size=3_000_001)
    again = make_session(root, mode="RETRANSFER", blocks=1, channel_form="ch0{}")
    make_session(root, satellite="S2A", session="S2A_20260105072204051312")  # of another mission
    write(root, "stray/DCS_01_S1A_20200105072204051312_ch1_DSIB.xml", b"<x/>")
    chain = ingestion(station)
    assert chain.poll("XBIP") == len(nominal) + len(again)
    assert chain.poll("XBIP") == 0
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == len(nominal) + len(again), what="all stored")
    for bucket, files in (("rs-session-files", nominal), ("rs-session-retransfer", again)):
        for key, data in keys(files).items():
            with store.open(bucket, key) as file:
                assert file.read() == data
    assert "tells no downlink session" in str(chain.value("SELECT reason FROM ingestion.quarantine"))
    found = [CatalogJob.model_validate_json(item) for item in chain.bus.read(CATALOG_JOB, len(nominal) + len(again))]
    assert {(job.product_family, job.station_name, job.satellite_id) for job in found} == {
        ("EDRS_SESSION", "MTI_", "S1A"),
        ("SESSION_RETRANSFER", "MTI_", "S1A"),
    }


def test_a_listing_of_a_tree_that_breaks_off_moves_no_cursor(
    xbip: tuple[Path, XbipStation], ingestion: Callable[..., Ingestion], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, station = xbip
    files = make_session(root, size=10)
    monkeypatch.setattr(webdav_client, "PAGE", 1)
    chain = ingestion(station)
    source = chain.pollers["XBIP"]._source
    whole = source.listed

    def broken(since: datetime | None) -> Iterator[list[ListedFile]]:
        yield next(whole(since))
        raise StationBusyError("cut on request")

    with monkeypatch.context() as patch:
        patch.setattr(source, "listed", broken)
        with pytest.raises(StationBusyError):
            chain.poll("XBIP")
    assert chain.value("SELECT count(*) FROM ingestion.inbox_entry") == 1
    assert chain.value("SELECT count(*) FROM ingestion.station_cursor") == 0
    assert chain.poll("XBIP") == len(files) - 1
    assert chain.value("SELECT count(*) FROM ingestion.station_cursor") == 1


def test_waiting_for_an_archive_is_no_failure(
    tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "RETRY_BASE_SECONDS", 0.05)
    monkeypatch.setattr(worker, "ORDER_SECONDS", 0.1)
    monkeypatch.setattr(worker, "STATION_ATTEMPTS", 2)
    folder, password = tmp_path / "archive", tmp_path / "password"
    folder.mkdir()
    contents = {NAME.format(number): os.urandom(100_000) for number in (1, 2)}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    with Lta(folder, polls=None) as means:
        password.write_text(means.password)
        station = LtaStation.model_validate(
            {
                "name": "LTA",
                "url": means.url,
                "token_url": means.token_url,
                "client_id": means.client_id,
                "username": means.username,
                "password_file": password,
                "inboxes": PRODUCTS,
            }
        )
        chain = ingestion(station)
        assert chain.poll("LTA") == 2

        def looked() -> bool:
            chain.poll("LTA")
            return len(means.orders) == 2 and min(order.looks for order in means.orders.values()) > 2

        with chain.run_worker():
            wait_until(looked, what="both orders asked for again and again")
            assert chain.count("QUARANTINED") == 0
            assert chain.value("SELECT max(attempts) FROM ingestion.inbox_entry") == 0
            assert chain.worker._busy_until == {}
            first, second = means.orders.values()
            first.status = "completed"
            wait_until(lambda: chain.poll("LTA") >= 0 and chain.count("STORED") == 1, what="one stored")
            second.status = "completed"
            wait_until(lambda: chain.poll("LTA") >= 0 and chain.count("STORED") == 2, what="the other stored")
        assert len(means.orders) == 2
    for name, data in contents.items():
        with store.open("rs-s1-aux", name) as file:
            assert file.read() == data
    assert chain.value("SELECT count(*) FROM ingestion.station_order") == 0


def test_sessions_of_a_tree_are_followed_by_their_dsibs(
    xbip: tuple[Path, XbipStation], ingestion: Callable[..., Ingestion]
) -> None:
    """Open from the first DSIB until all its blocks are listed; open again with a retransfer that is not complete."""
    root, station = xbip
    state = "SELECT coalesce(max(state), 'NONE') FROM ingestion.downlink_session"
    channels = "SELECT count(*) FROM ingestion.session_channel"
    files = make_session(root, size=10)
    dsibs = [path for path in files if path.endswith("DSIB.xml")]
    late = next(path for path in files if path.endswith("ch2_DSDB_00003.raw"))
    for path in (*dsibs, late):
        (root / path).unlink()
    chain = ingestion(station)
    chain.poll("XBIP")
    assert chain.value(state) == "NONE"
    for path in dsibs:
        write(root, path, files[path])
    chain.poll("XBIP")
    assert (chain.value(state), chain.value(channels)) == ("OPEN", 1)
    write(root, late, files[late])
    chain.poll("XBIP")
    assert (chain.value(state), chain.value(channels)) == ("DONE", 2)
    chain.poll("XBIP")
    assert chain.value("SELECT sum(files) FROM ingestion.session_channel") == 6
    again = make_session(root, mode="RETRANSFER", size=10)
    lost = next(path for path in again if path.endswith("ch1_DSIB.xml"))
    write(root, lost, b"<no XML", age=-60)
    chain.poll("XBIP")
    assert (chain.value(state), chain.value(channels)) == ("OPEN", 3)
