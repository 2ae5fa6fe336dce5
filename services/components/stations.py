"""The stations file, and the secrets and authorities that it points at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

STATIONS_FILE = "stations.yaml"


@dataclass(frozen=True)
class Station:
    """A station to poll, in the terms of the stations file (docs/architecture.md, Services)."""

    name: str
    url: pulumi.Input[str]
    inboxes: Sequence[Mapping[str, str]]
    """Each `match, family, mission` and perhaps `ignore`."""
    token_url: pulumi.Input[str]
    client_id: str
    username: str | None = None
    password: pulumi.Input[str] | None = None
    client_secret: pulumi.Input[str] | None = None
    ca_pem: pulumi.Input[str] | None = None
    """The authority of the station's certificate; None for a public one."""
    poll_seconds: int = 10
    overlap_seconds: int = 2400
    page_size: int = 500


def stations_files(stations: Sequence[Station], directory: str) -> dict[str, pulumi.Input[str]]:
    """Return the stations file and the authorities that lie beside it in `directory`."""
    files: dict[str, pulumi.Input[str]] = {
        _authority(station): station.ca_pem for station in stations if station.ca_pem is not None
    }
    # JSON is YAML.
    files[STATIONS_FILE] = pulumi.Output.json_dumps([_entry(station, directory) for station in stations], indent=1)
    return files


def station_secrets(stations: Sequence[Station]) -> dict[str, pulumi.Input[str]]:
    """Return the passwords and client secrets as files."""
    files: dict[str, pulumi.Input[str]] = {}
    for station in stations:
        if station.password is not None:
            files[_password(station)] = station.password
        if station.client_secret is not None:
            files[_client_secret(station)] = station.client_secret
    return files


def _entry(station: Station, directory: str) -> dict[str, Any]:
    secrets = f"{directory}-secrets"
    entry = {
        "name": station.name,
        "type": "auxip",
        "url": station.url,
        "token_url": station.token_url,
        "client_id": station.client_id,
        "username": station.username,
        "password_file": f"{secrets}/{_password(station)}" if station.password is not None else None,
        "client_secret_file": f"{secrets}/{_client_secret(station)}" if station.client_secret is not None else None,
        "ca_file": f"{directory}/{_authority(station)}" if station.ca_pem is not None else None,
        "poll_seconds": station.poll_seconds,
        "overlap_seconds": station.overlap_seconds,
        "page_size": station.page_size,
        "inboxes": [dict(inbox) for inbox in station.inboxes],
    }
    return {key: value for key, value in entry.items() if value is not None}


def _password(station: Station) -> str:
    return f"{station.name}.password"


def _client_secret(station: Station) -> str:
    return f"{station.name}.client-secret"


def _authority(station: Station) -> str:
    return f"{station.name}.crt"
