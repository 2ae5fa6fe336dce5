"""Whatever stations write, their clients end with `StationError` or leave it out, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refsys.services.common.families import Family
from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import resume
from refsys.services.ingestion.sources.edip import EdipSource
from refsys.services.ingestion.sources.ftplist import UnusableLineError, list_entry, mlsd_entry
from refsys.services.ingestion.sources.lta import LtaSource
from refsys.services.ingestion.sources.multistatus import responses
from refsys.services.ingestion.sources.paths import UnusablePathError, checked, session_of
from refsys.services.ingestion.sources.xbip import XbipSource
from refsys.services.ingestion.stations import EdipStation, Inbox, LtaStation, XbipStation

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MIB = 2**20
START = b'<D:multistatus xmlns:D="DAV:">'
NAMES = st.text(max_size=60) | st.sampled_from(
    ["..", ".", "a/../b", "%2e%2e/x", "/etc/passwd", "http://[x", "x" * 2000]
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    password: Path = tmp_path_factory.mktemp("station") / "password"
    password.write_text("x")
    inboxes = [Inbox(match=r".*", family=Family.AUXILIARY_FILE, mission="S1")]
    return {"name": "MTI_", "inboxes": inboxes, "username": "u", "password_file": password}


def answering(source: XbipSource | LtaSource, answer: httpx.Response) -> None:
    holder = source._client if isinstance(source, LtaSource) else source
    holder._http.close()
    holder._http = httpx.Client(transport=httpx.MockTransport(lambda _request: answer))


def document(href: str, length: str, modified: str) -> bytes:
    def text(value: str) -> str:
        escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return "".join(letter if letter >= " " and letter.isprintable() else "?" for letter in escaped)

    return (
        START
        + (
            f"<D:response><D:href>{text(href)}</D:href><D:propstat><D:prop><D:getcontentlength>{text(length)}"
            f"</D:getcontentlength><D:getlastmodified>{text(modified)}</D:getlastmodified></D:prop>"
            "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
        ).encode()
    )


@given(st.text() | NAMES)
@QUICK
def test_any_path(path: str) -> None:
    with suppress(UnusablePathError):
        taken = checked(path)
        assert not taken.startswith("/")
        assert ".." not in taken.split("/")
        assert taken.isprintable()
        session_of(taken)


@given(st.text() | st.from_regex(r"[-dl][rwx-]{9} +\d+ \S+ \S+ \d+ [A-Z][a-z]{2} +\d+ (\d\d:\d\d|\d{4}) .+"))
@QUICK
def test_any_line_of_list(line: str) -> None:
    with suppress(UnusableLineError):
        list_entry(line, NOW)


@given(st.text() | st.from_regex(r"type=(file|dir);size=\d*;modify=\d{14}; .*", fullmatch=True))
@QUICK
def test_any_line_of_mlsd(line: str) -> None:
    with suppress(UnusableLineError):
        mlsd_entry(line)


@given(st.lists(st.binary(max_size=200), max_size=8))
@QUICK
def test_any_listing_of_ftps(base: dict[str, object], lines: list[bytes]) -> None:
    source = EdipSource(EdipStation.model_validate({**base, "url": "ftps://127.0.0.1", "history_days": None}))

    class Connection:
        def lines(self, _command: str, directory: str) -> Iterator[bytes]:
            yield from lines if directory == "NOMINAL" else []
            yield b"type=file;size=1;modify=20260203040506; good"

    found = []
    for entry in source._read(Connection(), "MLSD", "NOMINAL"):  # type: ignore[arg-type]
        path = source._path("NOMINAL", entry.name)
        if path and not entry.directory:
            found.append(source._file(path, entry))
    assert "NOMINAL/good" in [file.id for file in found if file]


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: START + text.encode(errors="replace")))
@QUICK
def test_any_multistatus_document(data: bytes) -> None:
    with suppress(StationError):
        list(responses([data], "MTI_"))


@given(NAMES, NAMES | st.integers().map(str), NAMES | st.sampled_from(["Mon, 12 Jan 1998 09:25:56 GMT", "9" * 99]))
@example("/x", "1" * 5000, "Fri, 31 Dec 9999 23:59:59 -2359")
@example("/x", "-1", "Mon, 12 Jan 99999999999 09:25:56 GMT")
@QUICK
def test_any_resource_of_webdav(base: dict[str, object], href: str, length: str, modified: str) -> None:
    source = XbipSource(XbipStation.model_validate({**base, "url": "https://127.0.0.1", "history_days": None}))
    answering(source, httpx.Response(207, content=document(href, length, modified)))
    try:
        for page in source.listed(None):
            for file in page:
                assert ".." not in file.path.split("/")
    except StationError:
        pass
    finally:
        source.close()


def memory_of(data: Iterator[bytes]) -> int:
    """The greatest memory in bytes while a document is read, which must be refused."""
    tracemalloc.start()
    try:
        with pytest.raises(StationError):
            for _ in responses(data, "MTI_"):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def endless(start: bytes, each: bytes) -> Iterator[bytes]:
    yield start
    for _ in range(200):
        yield each * (64 * 1024 // len(each))


@pytest.mark.parametrize(
    ("start", "each"),
    [
        (START + b"<D:response><D:href>", b"x" * 1024),
        (START + b"<" + b"x", b"x" * 1024),
        (START + b'<D:a b="', b"x" * 1024),
        (START, b"<a>"),
        (START + b"<!-- ", b"x" * 1024),
        (b"<!DOCTYPE x [", b"<!ENTITY y 'z'>"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + START, b" "),
        (b"<other>", b" "),
        (b"\xff\xfe\x00", b"x"),
    ],
)
def test_a_document_without_bounds_is_refused_early(start: bytes, each: bytes) -> None:
    assert memory_of(endless(start, each)) < 8 * MIB


def test_different_names_without_bounds_are_refused() -> None:
    def data() -> Iterator[bytes]:
        yield START
        for start in range(0, 1_000_000, 500):
            yield b"".join(b"<a%d b%d=''/>" % (number, number) for number in range(start, start + 500))

    assert memory_of(data()) < 8 * MIB


def test_a_long_document_takes_little_memory() -> None:
    def data() -> Iterator[bytes]:
        yield START
        for number in range(0, 20_000, 100):
            yield b"".join(b"<D:response><D:href>/x/%d</D:href></D:response>" % (number + n) for n in range(100))
        yield b"</D:multistatus>"

    tracemalloc.start()
    try:
        assert sum(1 for _ in responses(data(), "MTI_")) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "Id", "Name", "ContentLength", "@odata.nextLink"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


class NoOrders:
    def get(self, station: str, product_id: str) -> str | None:
        return None

    def put(self, station: str, product_id: str, order_id: str | None) -> None:
        raise AssertionError("nothing is ordered")


@given(
    JSON.map(lambda body: httpx.Response(200, json=body))
    | st.binary(max_size=99).map(lambda b: httpx.Response(200, content=b))
)
@example(httpx.Response(200, content=b"[" * 100_000))
@example(httpx.Response(200, json={"value": [], "@odata.nextLink": "http://elsewhere/"}))
@example(httpx.Response(200, json={"value": [{}], "@odata.nextLink": "http://[x"}))
@example(httpx.Response(200, headers={"Content-Encoding": "br"}, content=b"x"))
@QUICK
def test_any_answer_of_an_archive(
    base: dict[str, object], monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    values = {**base, "url": "http://127.0.0.1/odata/v1", "token_url": "http://127.0.0.1/token", "client_id": "c"}
    source = LtaSource(LtaStation.model_validate(values), NoOrders())
    answering(source, answer)
    file = ListedFile(id="1", name="x", size=1, publication_date=NOW)
    with suppress(StationError):
        for number, _page in enumerate(source.listed(None)):
            if number > 3:
                break  # it leads on to itself, page by page of bounded size
    with suppress(StationError, ContentError, AssertionError):
        list(source.content(file))
    source.close()


def test_a_station_that_sends_without_end_is_cut_off() -> None:
    def endless_bytes(_position: int) -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    content = resume.resumed(endless_bytes, 3 * resume.CHUNK_BYTES, "MTI_")
    assert [len(next(content)) for _ in range(3)] == [resume.CHUNK_BYTES] * 3
    with pytest.raises(ContentError):
        next(content)


def test_progress_of_any_size_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "WAIT_SECONDS", 0.0)
    data = bytes(range(256)) * 10

    def broken(position: int) -> Iterator[bytes]:
        yield data[position : position + 100]
        if position + 100 < len(data):
            raise StationBusyError("cut")

    assert b"".join(resume.resumed(broken, len(data), "MTI_")) == data
