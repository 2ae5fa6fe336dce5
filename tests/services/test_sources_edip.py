"""The EDIP client against an FTPS server that insists on TLS session reuse, with faults."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.means.certificates import Authority
from tests.means.ftps import PASSWORD, USERNAME, Ftps
from tests.means.tree import SESSION, make_session, write

from refsys.services.common.families import Family
from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import edip, ftps, resume
from refsys.services.ingestion.sources.edip import EdipSource
from refsys.services.ingestion.sources.resume import CHUNK_BYTES
from refsys.services.ingestion.stations import EdipStation, Inbox

INBOXES = [Inbox(match=r".*", family=Family.EDRS_SESSION, mission="S1")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "WAIT_SECONDS", 0.05)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


@pytest.fixture(params=[True, False], ids=["tls1.3", "tls1.2"])
def means(root: Path, authority: Authority, request: pytest.FixtureRequest) -> Iterator[Ftps]:
    with Ftps(root, authority.issue("station"), tls13=request.param) as means:
        yield means
        assert all(means.reused)


Open = Callable[..., EdipSource]


@pytest.fixture
def source(authority: Authority, tmp_path: Path) -> Iterator[Open]:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    opened: list[EdipSource] = []

    def make(means: Ftps | None = None, **changes: object) -> EdipSource:
        values = {
            "name": "WILE",
            "url": means.url if means else "ftps://127.0.0.1:9",
            "inboxes": INBOXES,
            "ca_file": authority.ca_file,
            "username": USERNAME,
            "password_file": password,
            "timeout_seconds": 10,
        }
        opened.append(EdipSource(EdipStation.model_validate(values | changes)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def by_path(source: EdipSource, since: datetime | None = None) -> dict[str, ListedFile]:
    found = [file for page in source.listed(since) for file in page]
    assert len({file.id for file in found}) == len(found)
    return {file.path: file for file in found}


def read(source: EdipSource, file: ListedFile) -> bytes:
    chunks = list(source.content(file))
    assert all(len(chunk) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunks)


@pytest.mark.parametrize("command", ["MLSD", "LIST"])
def test_the_directories_are_listed_and_read(root: Path, means: Ftps, source: Open, command: str) -> None:
    means.faults.no_mlsd = command == "LIST"
    files = make_session(root, size=1_500_000)
    write(root, "S2_SAD/S2B_OPER_AUX_SADATA.tar", b"auxiliary")
    write(root, "S1_AUX/with space ä", b"x")
    write(root, "OTHER/not asked for", b"x")
    files |= {"S2_SAD/S2B_OPER_AUX_SADATA.tar": b"auxiliary", "S1_AUX/with space ä": b"x"}
    client = source(means, directories=["NOMINAL", "S2_L0_DS", "S2_SAD", "S1_AUX"])
    listed = by_path(client)
    assert set(listed) == set(files)
    assert {line.split()[0] for line in means.commands} >= {command, "PROT", "PBSZ"}
    for path, data in files.items():
        assert listed[path].size == len(data)
        assert read(client, listed[path]) == data
        assert abs(listed[path].publication_date - datetime.now(UTC)) < timedelta(minutes=3)
    block = listed[f"NOMINAL/S1A/{SESSION}/ch_2/DCS_01_{SESSION}_ch2_DSDB_00003.raw"].session
    assert block is not None
    assert (block.session_id, block.channel, block.block_number, block.retransfer) == (SESSION, 2, 3, False)
    assert listed["S1_AUX/with space ä"].session is None
    assert len(means.reused) >= len(files)
    assert [line.split()[0] for line in means.commands].count("USER") == 1  # the connection is used again


def test_only_files_since_are_listed(root: Path, means: Ftps, source: Open) -> None:
    write(root, "NOMINAL/old", b"x", age=8 * 86400)
    write(root, "NOMINAL/recent", b"x", age=3600)
    write(root, "NOMINAL/new", b"x")
    assert set(by_path(source(means))) == {"NOMINAL/recent", "NOMINAL/new"}
    assert set(by_path(source(means, history_days=None))) == {"NOMINAL/old", "NOMINAL/recent", "NOMINAL/new"}
    found = by_path(source(means), datetime.now(UTC) - timedelta(minutes=30))
    assert set(found) == {"NOMINAL/new"}
    assert set(by_path(source(means), found["NOMINAL/new"].publication_date)) == {"NOMINAL/new"}


@pytest.mark.parametrize("no_rest", [False, True])
def test_cut_downloads_are_resumed(root: Path, means: Ftps, source: Open, no_rest: bool) -> None:
    files = make_session(root, blocks=1, size=5_000_001)
    client = source(means)
    path, data = next(iter(files.items()))
    listed = by_path(client)[path]
    means.faults.no_rest = no_rest
    means.faults.cut_count = 1 if no_rest else 6
    assert read(client, listed) == data
    rests = [line for line in means.commands if line.startswith("REST")]
    assert len(rests) == (1 if no_rest else 6)


def test_a_busy_station_is_given_up_after_five_retries(root: Path, means: Ftps, source: Open) -> None:
    files = make_session(root, blocks=1)
    client = source(means)
    listed = by_path(client)[next(iter(files))]
    means.faults.errors = 1
    means.commands.clear()
    with pytest.raises(StationBusyError, match="421"):
        read(client, listed)
    assert len([line for line in means.commands if line.startswith("RETR")]) == 6
    with pytest.raises(StationBusyError, match="421"):
        by_path(client)
    means.faults.errors = 0
    assert read(client, listed) == files[listed.path]


def test_a_slow_station_is_given_up(root: Path, means: Ftps, source: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "RETRIES", 1)
    files = make_session(root, blocks=1, size=1000)
    client = source(means, timeout_seconds=1)
    listed = by_path(client)[next(iter(files))]
    means.faults.slow_seconds = 2
    with pytest.raises(StationBusyError, match="imed"):
        read(client, listed)


def test_content_that_is_not_as_listed(root: Path, means: Ftps, source: Open) -> None:
    write(root, "NOMINAL/x", b"123456")
    client = source(means)
    listed = by_path(client)["NOMINAL/x"]
    for data in (b"12345", b"1234567"):
        write(root, "NOMINAL/x", data)
        with pytest.raises(ContentError):
            read(client, listed)
    assert read(client, listed.model_copy(update={"size": None})) == b"1234567"
    (root / "NOMINAL/x").unlink()
    with pytest.raises(StationError, match="550"):
        read(client, listed)


@pytest.mark.parametrize("path", ["NOMINAL/../../etc/passwd", "/etc/passwd", "NOMINAL/x\r\nDELE y"])
def test_a_path_that_leads_elsewhere_is_not_asked_for(root: Path, means: Ftps, source: Open, path: str) -> None:
    file = ListedFile(id=path, name="x", path=path, size=1, publication_date=datetime.now(UTC))
    with pytest.raises(StationError, match="can't be asked for"):
        read(source(means), file)
    assert means.commands == []


def test_several_files_at_the_same_time(root: Path, means: Ftps, source: Open) -> None:
    files = make_session(root, blocks=6, size=300_000)
    client = source(means, connections=3)
    listed = by_path(client)
    together = threading.Barrier(3, timeout=20)

    def fetch(path: str) -> bytes:
        content = client.content(listed[path])
        first = next(content)
        together.wait()
        return first + b"".join(content)

    blocks = [path for path in files if path.endswith(".raw")]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(fetch, blocks)) == [files[path] for path in blocks]
    logins = [line.split()[0] for line in means.commands].count("USER")
    assert 3 <= logins <= 4


def test_the_backup_site_is_used_while_the_primary_does_not_answer(
    root: Path, authority: Authority, source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edip, "BACKUP_SECONDS", 1.0)
    files = make_session(root)
    certificate = authority.issue("station")
    with Ftps(root, certificate) as backup:
        with Ftps(root, certificate) as primary:
            client = source(primary, backup_url=backup.url)
            listed = by_path(client)
            assert backup.commands == []
        assert set(by_path(client)) == set(files)
        assert backup.commands
        with Ftps(root, certificate, port=primary.port) as primary:
            time.sleep(1.1)
            path, data = next(iter(files.items()))
            assert read(client, listed[path]) == data
            assert primary.commands


def test_a_listing_that_never_ends_is_given_up(
    root: Path, means: Ftps, source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_session(root)
    monkeypatch.setattr(ftps, "LISTING_SECONDS", 0.0)
    with pytest.raises(StationBusyError):
        by_path(source(means))


def test_wrong_credentials(means: Ftps, source: Open, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    with pytest.raises(StationError, match="check the credentials"):
        by_path(source(means, password_file=tmp_path / "wrong"))


def test_no_station(source: Open) -> None:
    with pytest.raises(StationBusyError, match="refused"):
        by_path(source())


def test_an_unknown_authority_is_refused(means: Ftps, source: Open) -> None:
    with pytest.raises(StationError, match="certificate verify failed"):
        by_path(source(means, ca_file=None))


def test_a_client_certificate_is_shown(root: Path, authority: Authority, source: Open) -> None:
    files = make_session(root)
    certificate = authority.issue("refsys")
    with Ftps(root, authority.issue("station"), authority=authority) as means:
        client = source(
            means, client_certificate_file=certificate.certificate_file, client_key_file=certificate.key_file
        )
        assert set(by_path(client)) == set(files)
        with pytest.raises(StationBusyError):
            by_path(source(means))
