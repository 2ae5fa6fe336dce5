"""Products that lie as unpacked folders in the store: the same metadata as from their archive."""

from datetime import datetime
from pathlib import Path

import pytest
from tests.means.documents import Times
from tests.means.memory_store import MemoryObjects
from tests.means.product_documents import s1_manifest
from tests.means.products import zip_product

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.files import Folder
from refsys.services.catalogue.metadata import read_metadata
from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common.names import parse_name

TIMES = Times(datetime(2024, 1, 3), datetime(2024, 1, 2, 3, 4, 5), datetime(2024, 1, 2, 3, 4, 25))
NAME = "S1C_IW_RAW__0SDV_20240102T030405_20240102T030425_019684_021735_C6DB.SAFE"


@pytest.fixture
def store(tmp_path: Path) -> MemoryObjects:
    return MemoryObjects(tmp_path)


def test_a_folder_tells_what_its_archive_tells(store: MemoryObjects, tmp_path: Path) -> None:
    manifest = s1_manifest("C", TIMES)
    for key, content in {"manifest.safe": manifest, "measurement.dat": "x" * 1000}.items():
        store.put("b", f"{NAME}/{key}", [content.encode()], len(content.encode()))
    store.put("b", f"{NAME}.zip", [b"an archive beside"], 17)
    folder = Folder(store, "b", NAME)
    assert folder.size == len(manifest.encode()) + 1000
    archive = zip_product(tmp_path / f"{NAME}.zip", manifest_safe=manifest)
    with archive.open("rb") as file:
        packed = read_metadata(parse_name(NAME), metadata_documents(files_in(archive.name, file)))
    assert read_metadata(parse_name(NAME), metadata_documents(folder)) == packed


def test_no_folder(store: MemoryObjects) -> None:
    store.put("b", f"{NAME}.zip", [b"x"], 1)
    with pytest.raises(FileNotFoundError):
        Folder(store, "b", NAME)


def test_a_folder_without_metadata(store: MemoryObjects) -> None:
    store.put("b", f"{NAME}/measurement.dat", [b"x"], 1)
    with pytest.raises(UnreadableError, match="no metadata"):
        metadata_documents(Folder(store, "b", NAME))


def test_a_folder_with_too_many_files(store: MemoryObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refsys.services.catalogue.files.MEMBERS_LIMIT", 2)
    for number in range(3):
        store.put("b", f"{NAME}/{number}", [b"x"], 1)
    with pytest.raises(UnreadableError, match="over 2 files"):
        Folder(store, "b", NAME)
