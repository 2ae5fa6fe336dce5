"""The watched folder: files that settle, links, changes while reading."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.means.tree import write

from refsys.services.common.families import Family
from refsys.services.ingestion.errors import ContentError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import folder as module
from refsys.services.ingestion.sources.folder import FolderSource
from refsys.services.ingestion.sources.resume import CHUNK_BYTES
from refsys.services.ingestion.stations import FolderStation, Inbox

INBOXES = [Inbox(match=r".*", family=Family.AUXILIARY_FILE, mission="S1")]


class Clock:
    """The monotonic time as the source sees it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "with space ä"
    root.mkdir()
    return root


@pytest.fixture
def source(root: Path) -> FolderSource:
    values = {"name": "drop", "url": root.as_uri(), "inboxes": INBOXES, "settle_seconds": 30}
    return FolderSource(FolderStation.model_validate(values))


def look(source: FolderSource, since: datetime | None = None) -> dict[str, ListedFile]:
    return {file.path: file for page in source.listed(since) for file in page}


def settled(source: FolderSource, clock: Clock) -> dict[str, ListedFile]:
    look(source)
    clock.now += 31
    return look(source)


def test_a_file_is_listed_once_it_settled(root: Path, source: FolderSource, clock: Clock) -> None:
    write(root, "a/b/x.EOF", b"12345", age=99 * 86400)
    assert look(source) == {}
    clock.now += 29
    assert look(source) == {}
    clock.now += 1
    listed = look(source)["a/b/x.EOF"]
    assert (listed.size, listed.name, listed.id) == (5, "x.EOF", "a/b/x.EOF")
    assert abs(listed.publication_date - datetime.now(UTC)) < timedelta(seconds=30)  # not its age
    assert b"".join(source.content(listed)) == b"12345"
    assert set(look(source)) == {"a/b/x.EOF"}
    assert set(look(source, listed.publication_date)) == {"a/b/x.EOF"}
    assert look(source, listed.publication_date + timedelta(seconds=1)) == {}


def test_a_growing_file_is_not_listed(root: Path, source: FolderSource, clock: Clock) -> None:
    for size in range(1, 5):
        write(root, "x", b"x" * size)
        assert look(source) == {}
        clock.now += 31
    assert set(settled(source, clock)) == {"x"}


def test_unfinished_and_hidden_files_are_left_out(root: Path, source: FolderSource, clock: Clock) -> None:
    for path in ("x.part", "x.tmp", ".x", ".hidden/x", "x.parts", "d.part/x"):
        write(root, path, b"x")
    os.mkfifo(root / "pipe")
    assert set(settled(source, clock)) == {"x.parts", "d.part/x"}
    (root / "x.part").rename(root / "x")
    assert set(settled(source, clock)) == {"x.parts", "d.part/x", "x"}


def test_links_are_never_followed(root: Path, source: FolderSource, clock: Clock, tmp_path: Path) -> None:
    write(tmp_path, "secret/file", b"12345")
    write(root, "d/file", b"12345")
    (root / "link").symlink_to(tmp_path / "secret/file")
    (root / "directory").symlink_to(tmp_path / "secret")
    (root / "inside").symlink_to(root / "d/file")
    listed = settled(source, clock)
    assert set(listed) == {"d/file"}
    for path in ("link", "directory/file", "inside", "../secret/file"):
        with pytest.raises(StationError):
            list(source.content(listed["d/file"].model_copy(update={"id": path})))
    (root / "d/file").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to(tmp_path / "secret")  # in place of a directory that was listed
    with pytest.raises(StationError):
        list(source.content(listed["d/file"]))


def test_content_that_is_not_as_listed(root: Path, source: FolderSource, clock: Clock) -> None:
    write(root, "x", b"a" * (CHUNK_BYTES + 1))
    listed = settled(source, clock)["x"]
    content = source.content(listed)
    assert len(next(content)) == CHUNK_BYTES
    write(root, "x", b"b" * (CHUNK_BYTES + 1), age=5)
    with pytest.raises(ContentError, match="changed"):
        list(content)
    write(root, "x", b"short")
    with pytest.raises(ContentError, match="5 bytes"):
        list(source.content(listed))
    (root / "x").unlink()
    with pytest.raises(StationError, match="No such file"):
        list(source.content(listed))


def test_pages_are_bounded(root: Path, source: FolderSource, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        write(root, f"{number}", b"x")
    monkeypatch.setattr(module, "PAGE", 10)
    settled(source, clock)
    assert sorted(len(page) for page in source.listed(None)) == [5, 10, 10]
    monkeypatch.setattr(module, "FILES_LIMIT", 20)
    with pytest.raises(StationError, match="over 20"):
        look(source)


def test_names_that_are_no_text_are_left_out(root: Path, source: FolderSource, clock: Clock) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe"))).write_bytes(b"x")
    (root / "a\nb").write_bytes(b"x")
    (root / "good").write_bytes(b"x")
    assert set(settled(source, clock)) == {"good"}


def test_a_missing_folder_is_explained(root: Path, source: FolderSource) -> None:
    root.rmdir()
    with pytest.raises(StationError, match="No such file or directory"):
        look(source)


def test_the_overlap_must_cover_the_settling(root: Path) -> None:
    values = {"name": "drop", "url": root.as_uri(), "inboxes": INBOXES, "settle_seconds": 3000}
    with pytest.raises(ValueError, match="raise it"):
        FolderStation.model_validate(values)
