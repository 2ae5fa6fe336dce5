"""Rules of ingestion that need no server: stations file, comparison of files, the AUXIP client's paging."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import HttpUrl
from tests.means.generator import generate
from tests.means.station import Station as Means

from refsys.services.common.families import Family
from refsys.services.common.messages import Checksum
from refsys.services.common.settings import SettingsError
from refsys.services.ingestion import stored
from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.auxip import AuxipSource
from refsys.services.ingestion.stations import AuxipStation, Inbox, load_stations
from refsys.services.ingestion.trigger import pause

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def checksum(algorithm: str, value: str) -> Checksum:
    return Checksum(algorithm=algorithm, value=value, checksum_date=NOW)


def test_files_are_compared_by_size_and_common_checksums() -> None:
    real = [checksum("MD5", "aa"), checksum("SHA-256", "bb")]
    assert stored.difference(5, [checksum("MD5", "AA")], 5, real) is None
    assert stored.difference(5, [checksum("SHA-512", "cc")], 5, real) is None
    assert "size" in str(stored.difference(6, [], 5, real))
    assert "MD5" in str(stored.difference(5, [checksum("MD5", "ab")], 5, real))
    assert stored.comparable([checksum("MD5", "x")], real)
    assert not stored.comparable([checksum("SHA-512", "x")], real)


def listed(name: str, size: int = 10, identifier: str = "x") -> ListedFile:
    return ListedFile(id=identifier, name=name, size=size, publication_date=NOW)


STATION = """
- name: MTI_
  url: https://station/odata/v1
  token_url: https://station/token
  client_id: refsys
  username: user
  password_file: {password}
  inboxes: [{{match: 'S1.*', ignore: '.*ORBPRE.*', family: AUXILIARY_FILE, mission: S1}}]
"""


def test_a_stations_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "stations.yaml").write_text(STATION.format(password=tmp_path / "password"))
    station = load_stations(tmp_path / "stations.yaml").by_name["MTI_"]
    assert station.type == "auxip"
    assert station.overlap_seconds == 2400
    assert station.inbox_of(listed("S1A_OPER_AUX_RESORB")) is station.inboxes[0]
    assert station.inbox_of(listed("S1A_OPER_MPL_ORBPRE")) is None
    assert station.inbox_of(listed("S2A_x")) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("AUXILIARY_FILE", "AUX"), r"stations\.0\.auxip\.inboxes\.0\.family"),
        (("'S1.*'", "'S1(.*'"), r"stations\.0\.auxip\.inboxes\.0\.match"),
        (("client_id: refsys", "client: refsys"), r"0\.auxip\.client: Extra inputs are not permitted"),
        (("  client_id: refsys\n", ""), "token_url and client_id go together"),
        (("  username: user\n", ""), "username and password_file go together"),
        (("name: MTI_", "name: a/b"), r"0\.auxip\.name"),
        (("- name", "- - name"), "REFSYS_STATIONS_FILE"),
        (("{password}", "/nowhere"), "cannot read /nowhere"),
    ],
)
def test_a_wrong_stations_file_is_explained(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    (tmp_path / "password").write_text("secret")
    (tmp_path / "stations.yaml").write_text(STATION.replace(*change).format(password=tmp_path / "password"))
    with pytest.raises(SettingsError, match=reason):
        load_stations(tmp_path / "stations.yaml")


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Means]:
    folder = tmp_path / "files"
    generate(folder, 7, size=3 * 2**20)
    with Means(folder) as means:
        yield means


@pytest.fixture
def client(means: Means, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuxipSource]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    (tmp_path / "password").write_text(means.password)
    station = AuxipStation(
        name="MTI_",
        url=HttpUrl(means.url),
        token_url=HttpUrl(means.token_url),
        client_id=means.client_id,
        username=means.username,
        password_file=tmp_path / "password",
        page_size=3,
        inboxes=[Inbox(match=".*", family=Family.S2_AUX, mission="S2")],
    )
    client = AuxipSource(station)
    yield client
    client.close()


@pytest.mark.parametrize("next_link", [True, False])
def test_all_pages_are_listed_oldest_first(client: AuxipSource, means: Means, next_link: bool) -> None:
    means.next_link = next_link
    pages = list(client.listed(None))
    assert [len(page) for page in pages] == [3, 3, 1]
    dates = [product.publication_date for page in pages for product in page]
    assert dates == sorted(dates)
    assert [len(page) for page in client.listed(dates[4])] in ([3], [3, 0])
    assert [len(page) for page in client.listed(dates[-1] + timedelta(days=1))] == [0]


def test_a_cut_download_is_resumed_where_it_broke(client: AuxipSource, means: Means) -> None:
    entry = max(means.publish(), key=lambda entry: entry.size)
    assert entry.path
    for ignore in (False, True):
        means.faults.cuts, means.faults.ignore_range, means.faults.seed = 0.6, ignore, 3
        assert b"".join(client.content(listed(entry.name, entry.size, entry.id))) == entry.path.read_bytes()
    requests = [request for request in means.requests if entry.id in request]
    assert len(requests) > 2


def test_more_bytes_than_announced_are_refused(client: AuxipSource, means: Means) -> None:
    entry = means.publish()[0]
    with pytest.raises(ContentError, match="more than the announced 10 bytes"):
        list(client.content(listed(entry.name, 10, entry.id)))


def test_a_missing_product_is_not_asked_for_again(client: AuxipSource, means: Means) -> None:
    with pytest.raises(StationError, match="HTTP 404"):
        list(client.content(listed("x", 10, "00000000-0000-0000-0000-000000000000")))
    assert len([request for request in means.requests if "value" in request]) == 1


def test_a_station_that_is_down_is_named(client: AuxipSource, means: Means) -> None:
    means.faults.errors = 1
    with pytest.raises(StationBusyError, match="station MTI_: HTTP 500"):
        next(client.listed(None))


def test_wrong_credentials_are_explained(client: AuxipSource, means: Means) -> None:
    means.password = "changed"
    with pytest.raises(StationError, match="check client_id and credentials"):
        next(client.listed(None))


def test_a_next_link_elsewhere_is_not_followed(client: AuxipSource, means: Means) -> None:
    means.url = "http://elsewhere.example/odata/v1"
    with pytest.raises(StationError, match="nextLink leads elsewhere"):
        list(client.listed(None))


@pytest.mark.parametrize(
    ("poll_seconds", "failures", "seconds"), [(5, 1, 10), (5, 3, 40), (5, 9, 60), (20, 9, 240), (300, 1, 300)]
)
def test_a_failing_station_is_asked_less_often(poll_seconds: float, failures: int, seconds: float) -> None:
    assert pause(poll_seconds, failures) == seconds
