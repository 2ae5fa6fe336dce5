"""The demo's stations on loopback, and how the chain is told of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.means.certificates import Authority
from tests.means.processes import free_port

from refsys.infra.demo import DemoStation
from refsys.infra.demo_station import INBOXES, declared, told
from refsys.infra.stations import station_of
from refsys.services.components.stations import station_authorities, station_entry, station_secrets


def demo_stations(authority: Authority) -> list[DemoStation]:
    """All of them, on free ports."""
    certificate = authority.issue("station")
    secrets = {
        "certificate_file": certificate.certificate_file,
        "key_file": certificate.key_file,
        "password": "station password",
    }
    made = []
    for kind in INBOXES:
        known = told(declared(kind, "127.0.0.1", free_port()))
        data = free_port() if known["passive_ports"] else None
        made.append(DemoStation.model_validate(known | secrets | {"passive_ports": data and (data, data)}))
    return made


def chain_entry(station: DemoStation, folder: Path, ca_file: Path) -> dict[str, Any]:
    """The entry of the stations file, as an environment declares the station; secret and authority go into `folder`."""
    directory = folder / "stations"
    entry = replace(
        station_of(declared(station.type, station.host, station.port)),
        secrets={"password": station.password},
        ca_pem=ca_file.read_text(),
    )
    for place, files in (
        (directory, station_authorities([entry])),
        (folder / "stations-secrets", station_secrets([entry])),
    ):
        place.mkdir(exist_ok=True)
        for name, text in files.items():
            (place / name).write_text(str(text))
    return station_entry(entry, str(directory), f"{directory}-secrets") | {"poll_seconds": 1}
