"""The stations that an environment with `demo: true` polls; `./refsys demo` plays them on this machine.

They are declared as an operator declares his, one of each kind: checked by the same model, their network opened from
their addresses. Only secrets and authority come from the stack instead of the config.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pulumi

from refsys.infra import environment as environments
from refsys.infra.clouds.interface import Cloud
from refsys.infra.demo.endpoints import AUXILIARY_DIRECTORY, CODE, WINDOW, XBIP_FOLDER
from refsys.infra.environment import Environment
from refsys.infra.files import EnvironmentFile
from refsys.infra.passwords import password
from refsys.infra.pki import Authority
from refsys.infra.stations import networks_of, station_of
from refsys.platform.components.flows import StationNetwork
from refsys.services.components import Station

FIRST_PORT = 9443
"""Of the first station; the others follow, then the data connections of the EDIP station."""
DATA_PORTS = 10
USER = "refsys"
CLIENT = "refsys"
POLL_SECONDS = 5
CONNECTIONS = 2


def _inbox(match: str, family: str, mission: str) -> dict[str, str]:
    return {"match": match, "family": family, "mission": mission, "station": CODE}


S1_FILES = _inbox("^(S1[A-D_]|EDR)_.*", "AUXILIARY_FILE", "S1")
S2_FILES = _inbox("^S2[A-D_]_.*", "S2_AUX", "S2")
S3_FILES = _inbox("^S3[A-D_]_.*", "S3_AUX", "S3")
S1_SESSIONS, S2_SESSIONS, S3_SESSIONS = (_inbox("^DCS_.*", "EDRS_SESSION", mission) for mission in ("S1", "S2", "S3"))
INBOXES = {
    "auxip": [S1_FILES, S2_FILES, S3_FILES],
    "cadip": [S1_SESSIONS, S2_SESSIONS],
    "xbip": [S3_SESSIONS],
    "edip": [S2_SESSIONS, S1_FILES],
}


class DemoStations:
    """The stations' places, their certificate and their credentials."""

    def __init__(self, environment: Environment, cloud: Cloud, authority: Authority) -> None:
        """Give them the operator machine's address on the nodes' network."""
        host = cloud.controller()
        certificate = authority.issue("demo-station", ip_addresses=[host])
        certificate_file = EnvironmentFile("demo/station.pem", environment.name, certificate.certificate_pem)
        key_file = EnvironmentFile("demo/station.key", environment.name, certificate.key_pem)
        self.stations: list[Station] = []
        """As the chain takes them."""
        self.networks: list[StationNetwork] = []
        """Where they are."""
        self.endpoints: list[dict[str, pulumi.Input[object]]] = []
        """What the demo needs to play them."""
        for station in declarations(host):
            secret = password(f"demo-{station.type}")
            self.stations.append(replace(station_of(station), secrets={"password": secret}, ca_pem=authority.ca_pem))
            self.networks += networks_of(station)
            self.endpoints.append(
                told(station)
                | {"password": secret, "certificate_file": certificate_file.path, "key_file": key_file.path}
            )


def declarations(host: str) -> list[environments.Station]:
    """The stations at an address, as the config of an environment would have them, without passwords."""
    return [declared(kind, host, FIRST_PORT + number) for number, kind in enumerate(INBOXES)]


def declared(kind: str, host: str, port: int) -> environments.Station:
    """The station of a kind at a place."""
    base = f"https://{host}:{port}"
    data = FIRST_PORT + len(INBOXES)
    odata = {"url": f"{base}/odata/v1", "token_url": f"{base}/token", "client_id": CLIENT}
    fields: Mapping[str, Mapping[str, Any]] = {
        "auxip": odata,
        "cadip": odata,
        "xbip": {"url": base + XBIP_FOLDER},
        "edip": {
            "url": f"ftps://{host}:{port}",
            "directories": ["NOMINAL", AUXILIARY_DIRECTORY],
            "passive_ports": f"{data}-{data + DATA_PORTS - 1}",
        },
    }
    common = {"poll_seconds": POLL_SECONDS, "connections": CONNECTIONS, "username": USER, "inboxes": INBOXES[kind]}
    return environments.Station.model_validate(
        {"name": f"{CODE}_{kind.upper()}", "type": kind, **common, **fields[kind]}
    )


def told(station: environments.Station) -> dict[str, pulumi.Input[object]]:
    """What the demo is told of a station, but for its secrets."""
    place = urlsplit(station.url)
    known = {"name": station.name, "type": station.type, "username": station.username, "client_id": station.client_id}
    passive = [int(port) for port in station.passive_ports.split("-")] if station.passive_ports else None
    return known | {"host": place.hostname, "port": place.port, "passive_ports": passive}


def with_window(sampling: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The sampling windows, with one for the demo's sessions in each mission that has any."""
    return {mission: [*windows, WINDOW] if windows else [] for mission, windows in sampling.items()}
