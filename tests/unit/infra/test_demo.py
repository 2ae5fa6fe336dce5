"""The demo: its stations are declared as any others, it waits, compares and reports."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from refsys.infra.cli.endpoints import table
from refsys.infra.demo import DemoStation, report, waiting
from refsys.infra.demo.content import AuxiliaryFile, Block, Content, Session, content_of, measured
from refsys.infra.demo.endpoints import DOWNLINK, DOWNLINK_MINUTES
from refsys.infra.demo.products import STEPS, Delivery, Products
from refsys.infra.demo.run import _offer
from refsys.infra.demo.sessions import Reception, Sessions
from refsys.infra.demo.stations import Played
from refsys.infra.demo_station import DATA_PORTS, FIRST_PORT, declarations, told, with_window
from refsys.infra.errors import UserError
from refsys.infra.stations import networks_of, station_of
from refsys.platform.components.flows import StationNetwork
from refsys.services.components.stations import station_entry
from refsys.services.ingestion.stations import StationsFile
from refsys.services.ingestion.stations.sampling import Window, reason_to_filter

HOST = "10.150.7.1"
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTENT = measured([b"abc", b"def"])
FILE = AuxiliaryFile("S1A_OPER_AUX_X.EOF", "DEMO_AUXIP", "S1", CONTENT)
BLOCKS = [Block(f"DCS_04_S_ch{ch}_DSDB_0000{no}.raw", ch, no, CONTENT) for ch in (1, 2) for no in (1, 2)]
SESSION = Session("S1A_1", "S1A", "DEMO_CADIP", BLOCKS, {ch: f"DCS_04_S_ch{ch}_DSIB.xml" for ch in (1, 2)})


def test_the_chain_takes_the_stations_as_they_are_declared(tmp_path: Path) -> None:
    secret = tmp_path / "stations-secrets"
    secret.mkdir()
    stations = [replace(station_of(each), secrets={"password": "x"}) for each in declarations(HOST)]
    for station in stations:
        (secret / f"{station.name}.password").write_text("x")
    found = StationsFile.model_validate(
        {
            "stations": [
                station_entry(each, str(tmp_path / "stations"), str(tmp_path / "stations-secrets")) for each in stations
            ]
        }
    )
    assert [station.type for station in found.stations] == ["auxip", "cadip", "xbip", "edip"]
    assert sum(station.connections for station in found.stations) <= 10


def test_their_network_is_what_their_addresses_say() -> None:
    networks = {network for station in declarations(HOST) for network in networks_of(station)}
    data = FIRST_PORT + 4
    assert networks == {
        *(StationNetwork(f"{HOST}/32", port) for port in range(FIRST_PORT, data)),
        StationNetwork(f"{HOST}/32", data, data + DATA_PORTS - 1),
    }


def test_the_demo_is_told_all_that_it_needs() -> None:
    files = {"password": "x", "certificate_file": "a", "key_file": "b"}
    found = [DemoStation.model_validate(told(station) | files) for station in declarations(HOST)]
    assert [(each.name, each.host, each.port) for each in found][:2] == [
        ("DEMO_AUXIP", HOST, FIRST_PORT),
        ("DEMO_CADIP", HOST, FIRST_PORT + 1),
    ]
    assert [each.passive_ports for each in found] == [None, None, None, (FIRST_PORT + 4, FIRST_PORT + 13)]


def test_sampling_lets_the_sessions_of_the_demo_in() -> None:
    weekly = {"start": "0 19 * * 5", "minutes": 240}
    found = with_window({"S1": [weekly], "S2": []})
    assert found["S2"] == [], "a mission without windows is taken whole"
    sampling: Any = {"S1": [Window.model_validate(each) for each in found["S1"]]}
    for minute in range(DOWNLINK_MINUTES):
        assert reason_to_filter(sampling, "S1", DOWNLINK + timedelta(minutes=minute)) is None
    assert reason_to_filter(sampling, "S1", DOWNLINK + timedelta(minutes=DOWNLINK_MINUTES)) is not None
    assert reason_to_filter(sampling, "S1", DOWNLINK + timedelta(days=1)) is not None


def test_endpoints_for_people_name_each_station() -> None:
    shown = table({"a": 1, "demo": {"stations": [{"name": "X", "port": 5, "client_id": None}], "user": "u"}})
    keys, texts = ([str(cell) for cell in column.cells] for column in shown.columns)
    assert dict(zip(keys, texts, strict=True)) == {
        "a": "1",
        "demo.stations.X.name": "X",
        "demo.stations.X.port": "5",
        "demo.user": "u",
    }


def test_content_is_the_same_from_a_file_and_from_chunks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abcdef")
    assert content_of(file) == CONTENT == measured([b"abcdef"])
    assert CONTENT.size == 6


class Arriving:
    """Something that arrives step by step, up to a point."""

    def __init__(self, title: str, total: int, until: int) -> None:
        self.title, self.total, self._until, self._count = title, total, until, -1

    def look(self) -> int:
        self._count = min(self._count + 1, self._until)
        return self._count

    def note(self) -> str:
        return f"{self._count} of {self.total}"

    def late(self) -> UserError:
        return UserError(f"{self.title}: {self.note()}", fix="wait")


def test_waiting_ends_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0)
    console = Console(record=True, width=100)
    waiting.wait_for([Arriving("files", 3, 3), Arriving("sessions", 1, 1)], console)
    text = console.export_text()
    assert "✓ files" in text and "✓ sessions" in text


def test_waiting_ends_when_nothing_new_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.1)
    with pytest.raises(UserError, match="sessions: 2 of 3"):
        waiting.wait_for([Arriving("files", 20, 20), Arriving("sessions", 3, 2)], Console(record=True))


def played(listings: int, files: int = 1, sessions: int = 1) -> Played:
    settings = DemoStation.model_validate(
        told(declarations(HOST)[0]) | {"password": "x", "certificate_file": "a", "key_file": "b"}
    )
    return Played(settings, lambda: listings, [FILE] * files, [SESSION] * sessions)


def test_a_station_is_polled_twice() -> None:
    silent, once, often = (waiting.Polls(played(count)) for count in (0, 1, 3))
    assert (silent.look(), once.look(), often.look()) == (0, 1, 2)
    assert "once a minute" in silent.note() and once.note() == "once"
    assert f"DEMO_AUXIP at {HOST}:9443 1 times" in str(once.late()) and "ingestion-trigger" in str(once.late())


def test_what_a_station_offers_is_told() -> None:
    assert _offer(played(0, 2, 0)) == "2 auxiliary files"
    assert _offer(played(0, 1, 2)) == "1 auxiliary file and 2 sessions"


class Services:
    """What the client finds; the tests change it."""

    def __init__(self) -> None:
        checksums = [{"Algorithm": name, "Value": value} for name, value in CONTENT.checksums.items()]
        self.rows = [
            {
                "Id": "1",
                "Name": FILE.name,
                "ContentLength": 6,
                "Checksum": checksums,
                "PublicationDate": "2026-01-01T12:00:04.000Z",
            }
        ]
        asset = {"href": "prip/1", "file:size": 6, "file:checksum": "1220" + CONTENT.checksums["SHA-256"]}
        self.found: list[dict[str, Any]] = [{"id": FILE.name, "assets": {"product": asset}}]
        self.held = [
            {
                "Id": block.name,
                "Name": block.name,
                "Channel": block.channel,
                "BlockNumber": block.number,
                "Size": 6,
                "PublicationDate": "2026-01-01T12:00:05.000Z",
            }
            for block in BLOCKS
        ]
        self.known: list[dict[str, Any]] = [
            {
                "productName": f"{SESSION.id}/ch_{channel}/{name}",
                "insertionTime": "2026-01-01T12:00:04.000000Z",
                "details": {
                    "sessionId": SESSION.id,
                    "dataSize": 12,
                    "rawNames": [block.name for block in SESSION.of_channel(channel)],
                },
            }
            for channel, name in SESSION.information.items()
        ]
        self.known += [
            {"productName": f"{SESSION.id}/ch_{block.channel}/{block.name}", "insertionTime": "2026-01-01T12:00:03Z"}
            for block in BLOCKS
        ]
        self.bytes = CONTENT
        self.trace = {step: BEGAN + timedelta(seconds=number) for number, step in enumerate(STEPS)}

    def products(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return copy.deepcopy([row for row in self.rows if row["Name"] in names])

    def product_address(self, row: dict[str, Any]) -> str:
        return f"prip/{row['Id']}"

    def items(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return copy.deepcopy([item for item in self.found if item["id"] in names])

    def sessions(self, session_id: str) -> list[dict[str, Any]]:
        return [{"SessionId": session_id, "NumChannels": 2}]

    def files(self, session_id: str) -> list[dict[str, Any]]:
        return copy.deepcopy(self.held)

    def file_address(self, row: dict[str, Any]) -> str:
        return f"cadip/{row['Id']}"

    def catalogued(self, session_id: str) -> list[dict[str, Any]]:
        return copy.deepcopy(self.known)

    def timeline(self, name: str) -> dict[str, datetime]:
        return self.trace

    def download(self, address: str) -> tuple[Content, float]:
        return self.bytes, 0.5


def arrived(services: Services) -> tuple[Products, Sessions]:
    """Both kinds after their first look, complete."""
    products, sessions = Products(services, [FILE]), Sessions(services, [SESSION])  # type: ignore[arg-type]
    assert (products.look(), sessions.look()) == (products.total, sessions.total) == (2, 6)
    return products, sessions


def test_what_arrived_is_compared_and_reported() -> None:
    products, sessions = arrived(Services())
    deliveries, receptions = products.fetch(), sessions.fetch()
    products.check_once()
    sessions.check_once()
    assert deliveries[0].in_stac is None and not receptions[0].new, "was there before this run"
    console = Console(record=True, width=200)
    report.show(deliveries, receptions, BEGAN, console)
    text = console.export_text()
    assert "1 products, 1 sessions with 6 files, 0.0 MB: all published once" in text
    line = next(line for line in text.splitlines() if FILE.name in line)
    figures = ["DEMO_AUXIP", "S1", "6", "1.00", "1.00", "1.00", "1.00", "-", "0.50", "4.50"]
    assert line.split()[1:] == figures
    line = next(line for line in text.splitlines() if SESSION.id in line)
    figures = ["DEMO_CADIP", "S1A", "2", "6", "24", "-", "1.00", "2.00", "3.00"]
    assert line.split()[1:] == figures


def test_steps_of_this_run_are_timed() -> None:
    delivery = Delivery(FILE, Services().trace, BEGAN + timedelta(seconds=4.25), 0.5)
    reception = Reception(SESSION, BEGAN + timedelta(seconds=3), BEGAN + timedelta(seconds=4), 0.5, True)
    console = Console(record=True, width=200)
    report.show([delivery, delivery], [reception], BEGAN, console)
    text = console.export_text()
    assert "0.25" in text and "4.75" in text and "3.00" in text and "median" in text


def test_names_are_shortened_in_the_middle() -> None:
    name = "S3A_AX___MA__AX_20240101T000000_20240101T060000_20240101T061234____ECW_O_SN_001.SEN3.zip"
    assert report._short(FILE.name, 44) == FILE.name
    short = report._short(name, 44)
    assert len(short) == 44
    assert short.startswith("S3A_AX___MA__AX_") and short.endswith("001.SEN3.zip")


def test_a_first_look_may_find_nothing() -> None:
    services = Services()
    rows, services.rows = services.rows, []
    held, services.held = services.held, []
    products, sessions = Products(services, [FILE]), Sessions(services, [SESSION])  # type: ignore[arg-type]
    assert (products.look(), sessions.look()) == (0, 2)
    assert "not in the PRIP: 1 of 1" in str(products.late())
    assert "not in the CADIP: 4 of 4 blocks" in str(sessions.late())
    services.rows, services.held = rows, held
    assert (products.look(), sessions.look()) == (2, 6)
    assert products.fetch()[0].in_stac is not None and sessions.fetch()[0].new


def test_what_is_missing_last_is_named() -> None:
    services = Services()
    services.found, services.known = [], services.known[:1] + services.known[2:]
    products, sessions = Products(services, [FILE]), Sessions(services, [SESSION])  # type: ignore[arg-type]
    assert (products.look(), sessions.look()) == (1, 5)
    assert "in the PRIP but not in STAC: 1 of 1" in str(products.late())
    assert "not in the metadata search: 1 of 2 DSIBs" in str(sessions.late())


def _other_bytes(services: Services) -> None:
    services.bytes = measured([b"xyzxyz"])


def _other_address(services: Services) -> None:
    services.found[0]["assets"]["product"]["href"] = "https://elsewhere.example/1"


def _other_checksum(services: Services) -> None:
    services.found[0]["assets"]["product"]["file:checksum"] = "1220" + "0" * 64


def _no_published(services: Services) -> None:
    del services.trace["published"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_bytes, "MD5 differs"),
        (_other_address, "its asset in STAC is at https://elsewhere.example/1"),
        (_other_checksum, "SHA-256 differs"),
        (_no_published, "its timeline lacks published"),
    ],
)
def test_a_wrong_product_is_refused(change: Any, words: str) -> None:
    services = Services()
    change(services)
    products, _ = arrived(services)
    with pytest.raises(UserError, match=words):
        products.fetch()


def _other_channel(services: Services) -> None:
    services.held[0]["Channel"] = 2


def _other_size(services: Services) -> None:
    services.held[0]["Size"] = 7


def _other_list(services: Services) -> None:
    services.known[1]["details"]["rawNames"].reverse()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_bytes, "DSDB_00001.raw: MD5 differs"),
        (_other_channel, "channel differs"),
        (_other_size, "size differs"),
        (_other_list, "DSIB of channel 2 of S1A_1: blocks differs"),
    ],
)
def test_a_wrong_session_is_refused(change: Any, words: str) -> None:
    services = Services()
    change(services)
    _, sessions = arrived(services)
    with pytest.raises(UserError, match=words):
        sessions.fetch()


def test_what_is_doubled_or_published_again_is_found() -> None:
    services = Services()
    products, sessions = arrived(services)
    services.rows[0]["PublicationDate"] = "2026-01-01T13:00:00.000Z"
    services.held[0]["PublicationDate"] = "2026-01-01T13:00:00.000Z"
    with pytest.raises(UserError, match="published again: other PublicationDate"):
        products.check_once()
    with pytest.raises(UserError, match="published again in the CADIP"):
        sessions.check_once()
    services.found += services.found
    services.held += services.held[:1]
    with pytest.raises(UserError, match="not exactly once in STAC"):
        products.check_once()
    with pytest.raises(UserError, match="each once"):
        sessions.check_once()
