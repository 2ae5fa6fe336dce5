"""The stations file has every type of station, and each has its client."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import yaml

from refsys.services.common.settings import SettingsError
from refsys.services.ingestion.sources import open_source
from refsys.services.ingestion.sources.auxip import AuxipSource
from refsys.services.ingestion.sources.cadip import CadipSource
from refsys.services.ingestion.sources.edip import EdipSource
from refsys.services.ingestion.sources.folder import FolderSource
from refsys.services.ingestion.sources.lta import LtaSource
from refsys.services.ingestion.sources.s3 import S3Source
from refsys.services.ingestion.sources.xbip import XbipSource
from refsys.services.ingestion.stations import load_stations

USER = {"username": "u", "password_file": "SECRET"}
TOKENS = {"token_url": "https://login.example/token", "client_id": "refsys", "client_secret_file": "SECRET"}
KEYS = {"access_key_file": "SECRET", "secret_key_file": "SECRET"}
STATIONS = {
    "auxip": (AuxipSource, {"url": "https://a.example/odata/v1", **TOKENS}),
    "prip": (AuxipSource, {"url": "https://a.example/odata/v1", **USER}),
    "cadip": (CadipSource, {"url": "https://c.example/odata/v1", **USER}),
    "lta": (LtaSource, {"url": "https://l.example/odata/v1", **TOKENS}),
    "xbip": (XbipSource, {"url": "https://x.example/xbip", **USER}),
    "edip": (EdipSource, {"url": "ftps://e.example", "backup_url": "ftps://f.example", **USER}),
    "s3": (S3Source, {"url": "https://s3.example", "bucket": "delivery", **KEYS}),
    "folder": (FolderSource, {"url": "file:///srv/incoming"}),
}


class NoOrders:
    def get(self, station: str, product_id: str) -> str | None:
        raise AssertionError((station, product_id))

    def put(self, station: str, product_id: str, order_id: str | None) -> None:
        raise AssertionError((station, product_id, order_id))


def stations_file(folder: Path, entries: Iterable[Mapping[str, object]]) -> Path:
    (folder / "secret").write_text("x")
    inbox = {"match": ".*", "family": "EDRS_SESSION", "mission": "S1"}
    file = folder / "stations.yaml"
    text = yaml.safe_dump({"stations": [{"inboxes": [inbox], **entry} for entry in entries]})
    file.write_text(text.replace("SECRET", str(folder / "secret")))
    return file


def test_every_type_is_read_and_has_its_client(tmp_path: Path) -> None:
    entries = [{"name": kind, "type": kind, **fields} for kind, (_, fields) in STATIONS.items()]
    found = load_stations(stations_file(tmp_path, entries)).by_name
    assert set(found) == set(STATIONS)
    for kind, (client, _) in STATIONS.items():
        source = open_source(found[kind], NoOrders())
        assert type(source) is client
        source.close()


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("xbip", {"url": "http://x.example"}, r"0\.xbip\.url"),
        ("xbip", {"username": None, "password_file": None}, "no credentials"),
        ("edip", {"client_key_file": "SECRET"}, "client_certificate_file and client_key_file go together"),
        ("edip", {"directories": ["../x"]}, r"0\.edip\.directories"),
        ("lta", {"client_id": None}, r"0\.lta\.client_id"),
        ("s3", {"bucket": "A/B"}, r"0\.s3\.bucket"),
        ("folder", {"overlap_seconds": 1}, "overlap_seconds must be at least"),
        ("folder", {"url": "file://host/srv"}, "a directory of this machine"),
        ("carrier-pigeon", {}, "carrier-pigeon"),
    ],
)
def test_a_field_that_is_wrong_is_named(tmp_path: Path, kind: str, changes: dict[str, object], reason: str) -> None:
    fields = {**STATIONS[kind][1], **changes} if kind in STATIONS else changes
    with pytest.raises(SettingsError, match=reason):
        load_stations(stations_file(tmp_path, [{"name": "X", "type": kind, **fields}]))


def test_stations_may_not_hold_each_other_up(tmp_path: Path) -> None:
    entries = [
        {"name": f"S{number}", "url": "https://a.example/odata/v1", **USER, "connections": 9} for number in range(5)
    ]
    with pytest.raises(SettingsError, match=r"together have 50 files in work, .* 40 are possible; give"):
        load_stations(stations_file(tmp_path, entries))
