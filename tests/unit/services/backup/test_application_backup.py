"""What is saved of a hosted application's folders."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from refsys.services.backup.application import found
from refsys.services.compression.archives import pack
from refsys.services.compression.rules import Format


def test_files_of_all_folders_are_in_the_archive_and_links_are_not(tmp_path: Path) -> None:
    volume, dump = tmp_path / "volume", tmp_path / "dump"
    (volume / "deep").mkdir(parents=True)
    dump.mkdir()
    (volume / "deep/note.txt").write_bytes(b"note" * 1000)
    (volume / "empty").touch()
    (volume / "link").symlink_to("/etc/passwd")
    os.mkfifo(volume / "pipe")
    (dump / "database.dump").write_bytes(b"PGDMP")
    members = list(found({"volume": volume, "database": dump}))
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(Format.TGZ, members)))) as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames()}
        sizes = {name: len(file.read()) for name, file in files.items() if file}
    assert sizes == {
        "volume/deep/note.txt": 4000,
        "volume/empty": 0,
        "database/database.dump": 5,
    }


def test_a_file_that_grows_is_saved_as_it_was_listed(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one")
    (member,) = found({"volume": tmp_path})
    (tmp_path / "log").write_bytes(b"one and more")
    assert b"".join(member.chunks()) == b"one"


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="should be saved as volume"):
        list(found({"volume": tmp_path / "none"}))
