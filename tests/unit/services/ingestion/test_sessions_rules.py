"""Rules of downlink sessions that need no server: windows, channels, DSIB, limits, the CADIP client."""

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from pydantic import HttpUrl, ValidationError
from tests.means.cadip import Cadip

from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common.families import Family
from refsys.services.common.names import InvalidNameError
from refsys.services.ingestion.channels import Channels
from refsys.services.ingestion.dsib import Block, dsib_name, dsib_text, listed_blocks
from refsys.services.ingestion.errors import ContentError, StationError
from refsys.services.ingestion.intake import object_key
from refsys.services.ingestion.source import ListedFile, SessionFile
from refsys.services.ingestion.sources.cadip import CadipSource
from refsys.services.ingestion.stations import CadipStation, Inbox
from refsys.services.ingestion.stations.sampling import Sampling, Window, downlink_time, reason_to_filter
from refsys.services.ingestion.throttle import Throttle

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = "S1A_20200105072204051312"


def block(
    number: int, *, channel: int = 1, final: bool = False, retransfer: bool = False, more: str = ""
) -> ListedFile:
    session = SessionFile(
        session_id=SESSION,
        satellite="S1A",
        channel=channel,
        block_number=number,
        final_block=final,
        retransfer=retransfer,
    )
    name = f"DCS_04_{SESSION}_ch{channel}_DSDB_{number:05d}.raw"
    return ListedFile(id=f"{name}{retransfer}{more}", name=name, size=10, publication_date=NOW, session=session)


def test_a_channel_is_complete_when_no_block_before_the_final_one_is_missing() -> None:
    channels = Channels()
    channels.add([block(1), block(3, final=True), block(1, channel=2), block(2, channel=2, final=True)])
    assert set(channels.complete()) == {(2, False)}
    assert not channels.all_complete(2)
    channels.add([block(2)])
    assert set(channels.complete()) == {(1, False), (2, False)}
    assert channels.all_complete(2)
    assert not channels.all_complete(3)


def test_a_retransfer_is_complete_with_the_blocks_it_does_not_replace() -> None:
    channels = Channels()
    channels.add([block(1), block(2, final=True), block(2, final=True, retransfer=True)])
    assert set(channels.complete()) == {(1, False), (1, True)}
    channels.add([block(3, retransfer=True, final=True), block(5, retransfer=True, final=True)])
    assert not channels.all_complete(1)


def test_what_is_listed_twice_is_taken_once() -> None:
    channels = Channels()
    first, again = block(1), block(1, more="again")
    assert channels.add([first, again]) == [first]
    assert channels.add([again, first]) == [first]


def test_a_dsib_names_the_blocks_in_their_order() -> None:
    blocks = [Block(f"DCS_04_{SESSION}_ch1_DSDB_{number:05d}.raw", 100, NOW) for number in (3, 1, 2)]
    text = dsib_text(SESSION, blocks, NOW, NOW + timedelta(minutes=17))
    root = etree.fromstring(text.encode())
    assert [child.tag for child in root] == [
        "session_id",
        "time_start",
        "time_stop",
        "time_created",
        "time_finished",
        "data_size",
        "dsdb_list",
    ]
    assert root.findtext("time_stop") == "2026-01-01T00:17:00Z"
    assert root.findtext("data_size") == "300"
    assert [child.text for child in root[-1]] == sorted(item.name for item in blocks)
    assert text == dsib_text(SESSION, blocks[::-1], NOW, NOW + timedelta(minutes=17))
    assert dsib_name(blocks[0].name) == f"DCS_04_{SESSION}_ch1_DSIB.xml"
    assert dsib_name("README.raw") is None


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-20T18:59:59+00:00", False),
        ("2026-11-20T19:00:00+00:00", True),
        ("2026-11-20T22:59:59.999+00:00", True),
        ("2026-11-20T23:00:00+00:00", False),
        ("2026-11-20T20:00:00+01:00", True),
        ("2026-11-21T20:00:00+00:00", False),
    ],
)
def test_a_window_is_open_from_its_start_for_its_minutes(moment: str, is_open: bool) -> None:
    assert Window(start="0 19 * * 5", minutes=240).is_open(datetime.fromisoformat(moment)) is is_open


def test_missions_without_windows_are_taken_whole() -> None:
    sampling: Sampling = {"S1": [Window(start="0 19 * * 5", minutes=240)], "S3": []}
    assert reason_to_filter(sampling, "S2", NOW) is None
    assert reason_to_filter(sampling, "S3", NOW) is None
    assert "outside the sampling windows of S1" in str(reason_to_filter(sampling, "S1", NOW))


def test_a_session_id_tells_the_downlink() -> None:
    assert downlink_time(block(1)) == datetime(2020, 1, 5, 7, 22, 4, tzinfo=UTC)
    relay = block(1).session
    assert relay
    for session_id, wanted in (
        ("L20171109175634707000125", datetime(2017, 11, 9, 17, 56, 34, tzinfo=UTC)),
        ("S1A_99999999999999000000", NOW),
        ("SESSION1", NOW),
    ):
        session = relay.model_copy(update={"session_id": session_id})
        assert downlink_time(block(1).model_copy(update={"session": session})) == wanted


@pytest.mark.parametrize("start", ["fridays", "0 25 * * *", "* * * * * * *"])
def test_a_wrong_cron_expression_is_refused(start: str) -> None:
    with pytest.raises(ValidationError, match="is not a cron expression"):
        Window(start=start, minutes=5)


@pytest.mark.parametrize("session_id", ["..", "a/b", "", "a" * 65])
def test_a_session_that_cannot_be_part_of_a_key_is_refused(session_id: str) -> None:
    session = SessionFile(
        session_id=session_id, satellite="S1A", channel=1, block_number=1, final_block=False, retransfer=False
    )
    with pytest.raises(InvalidNameError):
        object_key("x", session)


def test_a_throttle_holds_its_rate_over_all_connections() -> None:
    throttle = Throttle(1_000_000)
    started = time.monotonic()
    for _ in range(2):
        assert list(throttle.of([bytes(700_000)] * 1)) == [bytes(700_000)]
    assert 0.3 < time.monotonic() - started < 1.5


@pytest.fixture
def means() -> Iterator[Cadip]:
    with Cadip() as means:
        yield means


@pytest.fixture
def source(means: Cadip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CadipSource]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    (tmp_path / "password").write_text(means.password)
    station = CadipStation(
        name="CADIP",
        url=HttpUrl(means.url),
        token_url=HttpUrl(means.token_url),
        client_id=means.client_id,
        username=means.username,
        password_file=tmp_path / "password",
        page_size=2,
        inboxes=[Inbox(match=".*", family=Family.EDRS_SESSION, mission="S1")],
    )
    source = CadipSource(station)
    yield source
    source.close()


@pytest.mark.parametrize("spelling", ["SessionId", "SessionID"])
def test_files_of_sessions_are_listed_page_by_page(source: CadipSource, means: Cadip, spelling: str) -> None:
    means.faults.spelling = spelling
    assert list(source.listed(None)) == []
    assert [page for page in source.files("S1A_20990101000000000000", "S1A") if page] == []
    session = means.add_session(channels=2, blocks=2)
    means.add_session("S2A", channels=1, blocks=1)
    pages = [page for page in source.listed(None) if page]
    assert [len(page) for page in pages] == [2, 2, 1]
    files = [file for page in pages for file in page]
    assert [file.name for file in files[:4]] == [item.name for item in session.blocks]
    assert files[3].session and (files[3].session.channel, files[3].session.final_block) == (2, True)
    assert {file.session.satellite for file in files if file.session} == {"S1A", "S2A"}


def test_a_file_is_read_and_resumed(source: CadipSource, means: Cadip) -> None:
    session = means.add_session(channels=1, blocks=1, size=5 * 2**20 + 7)
    (page,) = source.files(session.session_id, "S1A")
    means.faults.cuts, means.faults.seed = 0.6, 3
    content = b"".join(source.content(page[0]))
    assert content == b"".join(session.blocks[0].content())
    with pytest.raises(ContentError, match="delivers 5242887 bytes, announced 5242888"):
        list(source.content(page[0].model_copy(update={"size": page[0].size and page[0].size + 1})))


def test_quality_and_retransfers_are_told(source: CadipSource, means: Cadip) -> None:
    session = means.add_session(channels=2, blocks=1)
    assert [(item.channel, item.acquired_tfs) for item in source.quality(session.id)] == [(1, 1000), (2, 1000)]
    assert list(source.retransferred(None)) == [[]]
    (again,) = means.retransfer(session, 2)
    ((file,),) = source.retransferred(again.published)
    assert file.session and file.session.session_id == session.session_id and file.session.retransfer
    with pytest.raises(StationError, match="HTTP 404"):
        source.quality("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("document", [b"", b"no XML", b"<a", b"<a>" + b"x" * 9 * 2**20 + b"</a>"])
def test_a_dsib_that_is_none(document: bytes) -> None:
    with pytest.raises(UnreadableError):
        listed_blocks(io.BytesIO(document))


def test_the_blocks_of_a_dsib() -> None:
    names = [f"DCS_01_{SESSION}_ch1_DSDB_{number:05}.raw" for number in (1, 2, 3)]
    blocks = [Block(name, 10, NOW) for name in names]
    text = dsib_text(SESSION, blocks, None, None)
    assert listed_blocks(io.BytesIO(text.encode())) == names
