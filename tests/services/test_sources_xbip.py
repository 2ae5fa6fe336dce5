"""The XBIP client against a WebDAV server over TLS, with faults."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.means.certificates import Authority
from tests.means.tree import SESSION, fill, make_session, write
from tests.means.webdav import PASSWORD, USERNAME, WebDav

from refsys.services.common.families import Family
from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import resume
from refsys.services.ingestion.sources.resume import CHUNK_BYTES
from refsys.services.ingestion.sources.xbip import XbipSource
from refsys.services.ingestion.stations import Inbox, XbipStation

INBOXES = [Inbox(match=r".*", family=Family.EDRS_SESSION, mission="S1")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "WAIT_SECONDS", 0.05)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


@pytest.fixture
def means(root: Path, authority: Authority) -> Iterator[WebDav]:
    with WebDav(root, authority.issue("station")) as means:
        yield means


Open = Callable[..., XbipSource]


@pytest.fixture
def source(means: WebDav, authority: Authority, tmp_path: Path) -> Iterator[Open]:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    opened: list[XbipSource] = []

    def make(**changes: object) -> XbipSource:
        values = {
            "name": "MTI_",
            "url": means.url,
            "inboxes": INBOXES,
            "ca_file": authority.ca_file,
            "username": USERNAME,
            "password_file": password,
        }
        opened.append(XbipSource(XbipStation.model_validate(values | changes)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def by_path(source: XbipSource, since: datetime | None = None) -> dict[str, ListedFile]:
    found = [file for page in source.listed(since) for file in page]
    assert len({file.id for file in found}) == len(found)
    return {file.path: file for file in found}


def read(source: XbipSource, file: ListedFile) -> bytes:
    chunks = list(source.content(file))
    assert all(len(chunk) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunks)


def test_a_tree_is_listed_and_read(root: Path, means: WebDav, source: Open) -> None:
    files = make_session(root, station="MTI_", size=3 * 2**20 + 5)
    files |= make_session(root, mode="RETRANSFER", satellite="S2C", session="S2C_2020", channel_form="ch0{}")
    files |= fill(root, "DCS_01_L2020_dat", "L2020", "ch{}", blocks=1, size=10)
    write(root, "NOMINAL/notes %41 ä.txt", b"x")
    files["NOMINAL/notes %41 ä.txt"] = b"x"
    client = source()
    listed = by_path(client)
    assert set(listed) == set(files)
    assert [request[2] for request in means.requests if request[0] == "PROPFIND"] == ["infinity"]
    for path, data in files.items():
        assert listed[path].size == len(data)
        assert read(client, listed[path]) == data
    block = listed[f"NOMINAL/MTI_/S1A/{SESSION}/ch_2/DCS_01_{SESSION}_ch2_DSDB_00003.raw"]
    assert block.session is not None
    assert (block.session.satellite, block.session.channel, block.session.block_number) == ("S1A", 2, 3)
    again = listed["RETRANSFER/S2C/S2C_2020/ch01/DCS_01_S2C_2020_ch1_DSIB.xml"].session
    assert again is not None
    assert again.retransfer
    assert again.block_number is None


@pytest.mark.parametrize("code", [400, 403, 501, 507])
def test_a_refused_infinite_depth_is_walked(root: Path, means: WebDav, source: Open, code: int) -> None:
    files = make_session(root)
    means.faults.refuse_infinity = code
    client = source()
    assert set(by_path(client)) == set(files)
    before = len(means.requests)
    assert set(by_path(client)) == set(files)
    assert "infinity" not in {request[2] for request in means.requests[before:]}


def test_an_infinite_depth_that_is_answered_flat_is_walked(root: Path, means: WebDav, source: Open) -> None:
    files = make_session(root)
    means.faults.flat_infinity = True
    assert set(by_path(source())) == set(files)


def test_only_files_since_are_listed_by_the_station_s_clock(root: Path, means: WebDav, source: Open) -> None:
    write(root, "NOMINAL/old", b"x", age=8 * 86400)
    write(root, "NOMINAL/recent", b"x", age=3600)
    write(root, "NOMINAL/new", b"x")
    assert set(by_path(source())) == {"NOMINAL/recent", "NOMINAL/new"}
    assert set(by_path(source(history_days=None))) == {"NOMINAL/old", "NOMINAL/recent", "NOMINAL/new"}
    half = datetime.now(UTC) - timedelta(minutes=30)
    assert set(by_path(source(), half)) == {"NOMINAL/new"}
    new = by_path(source(), half)["NOMINAL/new"]
    assert set(by_path(source(), new.publication_date)) == {"NOMINAL/new"}
    means.faults.skew_seconds = -3600
    assert by_path(source(), half) == {}
    skewed = by_path(source(), half - timedelta(hours=1))["NOMINAL/new"]
    assert skewed.publication_date == new.publication_date - timedelta(hours=1)


def test_cut_downloads_are_resumed(root: Path, means: WebDav, source: Open) -> None:
    files = make_session(root, blocks=1, size=5_000_001)
    client = source()
    path, data = next(iter(files.items()))
    listed = by_path(client)[path]
    means.faults.cut_count = 7
    assert read(client, listed) == data
    ranges = [request[2] for request in means.requests if request[0] == "GET"]
    assert len(ranges) == 8
    assert all(entry.startswith("bytes=") for entry in ranges[1:])
    means.faults.cut_count, means.faults.ignore_range = 1, True
    assert read(client, listed) == data


def test_a_station_without_progress_is_given_up_after_five_retries(root: Path, means: WebDav, source: Open) -> None:
    files = make_session(root, blocks=1)
    client = source()
    listed = by_path(client)[next(iter(files))]
    means.faults.errors = 1
    means.requests.clear()
    with pytest.raises(StationBusyError, match="HTTP 503"):
        read(client, listed)
    assert len(means.requests) == 6
    means.faults.error_code = 404
    means.requests.clear()
    with pytest.raises(StationError, match="HTTP 404"):
        read(client, listed)
    assert len(means.requests) == 1
    with pytest.raises(StationError, match="HTTP 404"):
        by_path(client)


def test_a_slow_station_is_given_up(root: Path, means: WebDav, source: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "RETRIES", 1)
    files = make_session(root, blocks=1)
    client = source(timeout_seconds=0.5)
    listed = by_path(client)[next(iter(files))]
    means.faults.slow_seconds = 1.5
    start = time.monotonic()
    with pytest.raises(StationBusyError, match="Timeout"):
        read(client, listed)
    assert time.monotonic() - start < 5


def test_content_that_is_not_as_listed(root: Path, source: Open) -> None:
    write(root, "NOMINAL/x", b"123456")
    client = source()
    listed = by_path(client)["NOMINAL/x"]
    for data in (b"12345", b"1234567"):
        write(root, "NOMINAL/x", data)
        with pytest.raises(ContentError):
            read(client, listed)
    assert read(client, listed.model_copy(update={"size": None})) == b"1234567"


def test_a_file_that_changes_between_two_parts_is_noticed(root: Path, means: WebDav, source: Open) -> None:
    write(root, "NOMINAL/x", b"a" * 5_000_000)
    client = source()
    listed = by_path(client)["NOMINAL/x"]
    means.faults.cut_count, means.faults.cut_bytes = 1, 2_500_000
    content = client.content(listed)
    next(content)
    write(root, "NOMINAL/x", b"b" * 5_000_000, age=100)
    with pytest.raises(ContentError, match="changed"):
        list(content)


def test_wrong_credentials(source: Open, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    with pytest.raises(StationError, match="check the credentials"):
        by_path(source(password_file=tmp_path / "wrong"))


def test_no_station(source: Open) -> None:
    with pytest.raises(StationBusyError, match="ConnectError"):
        by_path(source(url="https://127.0.0.1:9/xbip"))


def test_a_client_certificate_is_shown(root: Path, authority: Authority, source: Open) -> None:
    files = make_session(root)
    certificate = authority.issue("refsys")
    with WebDav(root, authority.issue("station"), authority=authority) as means:
        client = source(
            url=means.url,
            client_certificate_file=certificate.certificate_file,
            client_key_file=certificate.key_file,
        )
        assert set(by_path(client)) == set(files)
        with pytest.raises(StationBusyError):
            by_path(source(url=means.url))


def test_an_unknown_authority_is_refused(source: Open) -> None:
    with pytest.raises(StationError, match="certificate verify failed"):
        by_path(source(ca_file=None))
