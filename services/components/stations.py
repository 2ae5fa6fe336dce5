"""The stations file, and the secrets and authorities that it points at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from refsys.platform.components.object_store import ObjectStore
from refsys.services.common.families import UPLOADS_BUCKET
from refsys.services.ingestor.rules import STATION

STATIONS_FILE = "stations.yaml"
AUXILIARY_INBOXES = (
    {"match": "^(S1[A-D_]|EDR)_.*", "family": "AUXILIARY_FILE", "mission": "S1"},
    {"match": "^S2[A-D_]_.*", "family": "S2_AUX", "mission": "S2"},
    {"match": "^S3[A-D_]_.*", "family": "S3_AUX", "mission": "S3"},
)
"""For a station that has auxiliary files alone."""
PLANS_INBOX = {"match": "^S1[A-D_]_OPER_(MPL_SP|REP_|SRA_).*", "family": "PLAN_AND_REPORT", "mission": "S1"}
"""Plans among them."""


@dataclass(frozen=True)
class Station:
    """A station to poll, in the terms of the stations file (docs/stations.md)."""

    name: str
    url: pulumi.Input[str]
    inboxes: Sequence[Mapping[str, Any]]
    """Each `match, family, mission` and perhaps `ignore, station, priority`."""
    type: str = "auxip"
    settings: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict)
    """The other fields that the file has as they are."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Texts of the fields `<name>_file`, by `<name>`: `password`, `client_secret`, …"""
    ca_pem: pulumi.Input[str] | None = None
    """The authority of the station's certificate; None for a public one."""


def upload_station(store: ObjectStore) -> Station:
    """Return the bucket of accepted uploads as a station of the object store."""
    return Station(
        name=STATION,
        type="s3",
        url=store.endpoint,
        inboxes=(PLANS_INBOX, *AUXILIARY_INBOXES),
        settings={
            "bucket": UPLOADS_BUCKET,
            "region": store.region,
            "poll_seconds": 5,
            "connections": 2,
            "history_days": None,
        },
        secrets={"access_key": store.access_key, "secret_key": store.secret_key},
        ca_pem=store.ca_pem,
    )


def stations_files(
    stations: Sequence[Station], sampling: Mapping[str, Any], directory: str, secrets_directory: str
) -> dict[str, pulumi.Input[str]]:
    """Return the stations file and the authorities that lie beside it in `directory`."""
    document = {
        "stations": [station_entry(station, directory, secrets_directory) for station in stations],
        "sampling": {mission: windows for mission, windows in sampling.items() if windows},
    }
    # JSON is YAML.
    return {STATIONS_FILE: pulumi.Output.json_dumps(document, indent=1), **station_authorities(stations)}


def station_authorities(stations: Sequence[Station]) -> dict[str, pulumi.Input[str]]:
    """Return the authorities of all stations that have their own, as files."""
    return {_authority(station): station.ca_pem for station in stations if station.ca_pem is not None}


def station_secrets(stations: Sequence[Station]) -> dict[str, pulumi.Input[str]]:
    """Return the secrets of all stations as files."""
    return {_secret(station, name): text for station in stations for name, text in station.secrets.items()}


def station_entry(station: Station, directory: str, secrets_directory: str) -> dict[str, Any]:
    """Return what the stations file says of one, whose authority and secrets lie in those folders."""
    files = {f"{name}_file": f"{secrets_directory}/{_secret(station, name)}" for name in station.secrets}
    if station.ca_pem is not None:
        files["ca_file"] = f"{directory}/{_authority(station)}"
    return {
        "name": station.name,
        "type": station.type,
        "url": station.url,
        **station.settings,
        **files,
        "inboxes": [dict(inbox) for inbox in station.inboxes],
    }


def _secret(station: Station, name: str) -> str:
    return f"{station.name}.{name.replace('_', '-')}"


def _authority(station: Station) -> str:
    return f"{station.name}.crt"
