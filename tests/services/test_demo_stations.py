"""The demo's stations, played on loopback and read by the chain's own clients."""

import ssl
from pathlib import Path

import httpx
import pytest
import yaml
from tests.means.certificates import Authority
from tests.services.demonstration import chain_entry, demo_stations

from refsys.infra.demo.content import Content, measured
from refsys.infra.demo.stations import Played, playing
from refsys.infra.errors import UserError
from refsys.services.common.families import Family
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import open_source
from refsys.services.ingestion.stations import StationsFile, load_stations


class NoOrders:
    """The demo has no long-term archive."""


def stations_of(folder: Path, authority: Authority, stations: list[object]) -> StationsFile:
    file = folder / "stations.yaml"
    file.write_text(yaml.safe_dump(stations))
    return load_stations(file)


def offered(played: Played) -> dict[str, Content]:
    blocks = {block.name: block.content for session in played.sessions for block in session.blocks}
    return {file.name: file.content for file in played.files} | blocks


def test_every_station_offers_its_content_twice_the_same(tmp_path: Path, authority: Authority) -> None:
    settings = demo_stations(authority)
    chain = stations_of(tmp_path, authority, [chain_entry(each, tmp_path, authority.ca_file) for each in settings])
    runs = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        found: dict[str, Content] = {}
        with playing(settings, tmp_path / run, None) as stations:
            for played in stations:
                station = chain.by_name[played.settings.name]
                source = open_source(station, NoOrders())  # type: ignore[arg-type]
                files = [file for page in source.listed(None) for file in page]
                assert played.listings() == 1
                assert all(_taken(station.inbox_of(file), file) for file in files)
                arrived = {file.name: measured(source.content(file)) for file in files}
                source.close()
                own = offered(played)
                assert own.items() <= arrived.items()
                information = {name for session in played.sessions for name in session.information.values()}
                assert set(arrived) - set(own) == (information if played.settings.type != "cadip" else set())
                found |= arrived
        runs.append(found)
    assert runs[0] == runs[1]
    satellites = {session.satellite for played in stations for session in played.sessions}
    assert satellites == {"S1A", "S2A", "S2B", "S3A"}
    assert {file.mission for played in stations for file in played.files} == {"S1", "S2", "S3"}


def _taken(inbox: object, file: ListedFile) -> bool:
    family = getattr(inbox, "family", None)
    return family == Family.EDRS_SESSION if file.session else family is not None


def test_after_the_demo_nothing_answers(tmp_path: Path, authority: Authority) -> None:
    settings = demo_stations(authority)
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    with httpx.Client(verify=trusted, trust_env=False) as client:
        url = f"https://{settings[0].host}:{settings[0].port}/odata/v1/Products"
        with playing(settings, tmp_path, None) as stations:
            assert client.get(f"{url}?$top=1").status_code == 401
            assert stations[0].listings() == 0, "who has no token sees no listing"
        with pytest.raises(httpx.TransportError):
            client.get(url)


def test_a_taken_port_is_explained(tmp_path: Path, authority: Authority) -> None:
    settings = demo_stations(authority)
    (tmp_path / "again").mkdir()
    with (
        playing(settings, tmp_path, None),
        pytest.raises(UserError, match="cannot be the station DEMO_AUXIP"),
        playing(settings, tmp_path / "again", None),
    ):
        pass
