"""Stations of the stack's config: what each type may have, what the chain is told, what the network opens."""

import json
from pathlib import Path
from typing import Any

import pytest

from refsys.infra.environment import Environment, Station
from refsys.infra.errors import UserError
from refsys.infra.stations import networks_of, station_of
from refsys.platform.components.flows import StationNetwork
from refsys.services.components.stations import station_entry, station_secrets
from refsys.services.ingestion.stations import load_stations

INBOX = {"match": "DCS_.*", "family": "EDRS_SESSION", "mission": "S1", "station": "MTI_", "priority": 3}


def station(**fields: Any) -> Station:
    entry = {"name": "X", "inboxes": [INBOX], **fields}
    return Environment.parse("local", {"stations": [entry]}).stations[0]


ODATA = {"type": "cadip", "url": "https://10.1.2.3:8443/odata/v1", "username": "u", "password": "secret"}
EDIP = {"type": "edip", "url": "ftps://a.example", "backup_url": "ftps://10.0.0.7:2121", "username": "u"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({**ODATA, "bucket": "b"}, "type cadip has no bucket"),
        ({"type": "s3", "url": "https://s3.example"}, "type s3 needs access_key, bucket, secret_key"),
        ({"type": "lta", "url": "https://lta.example"}, "type lta needs client_id, token_url"),
        ({"type": "xbip", "url": "http://x.example"}, "begins with https://"),
        ({**EDIP, "page_size": 5}, "type edip has no page_size"),
        ({"type": "folder", "url": "file:///srv"}, "pods of an environment cannot read it"),
        ({**EDIP, "passive_ports": "50100-50000"}, "two ports from 1 to 65535"),
        ({**ODATA, "passive_ports": "50000-50100"}, "type cadip has no passive_ports"),
        ({**ODATA, "inboxes": [{**INBOX, "station": "MATERA"}]}, "stations.0.inboxes.0.station"),
    ],
)
def test_a_field_that_does_not_fit_the_type_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        station(**fields)
    assert words in str(error.value)


def test_secrets_become_files_and_never_settings() -> None:
    made = station_of(station(**ODATA, client_certificate_pem="PEM", client_key="KEY", connections=2))
    assert set(station_secrets([made])) == {"X.password", "X.client-key", "X.client-certificate"}
    assert made.settings == {"username": "u", "connections": 2, "overlap_seconds": 2400, "timeout_seconds": 30}
    assert made.inboxes == [INBOX]


def test_the_network_opens_what_the_urls_name() -> None:
    token = {"token_url": "https://login.example/token", "client_id": "c"}
    assert list(networks_of(station(**ODATA, **token))) == [
        StationNetwork("10.1.2.3/32", 8443),
        StationNetwork("0.0.0.0/0", 443),
    ]
    assert list(networks_of(station(**EDIP))) == [
        StationNetwork("0.0.0.0/0", 21),
        StationNetwork("0.0.0.0/0", 1024, 65535),
        StationNetwork("10.0.0.7/32", 2121),
        StationNetwork("10.0.0.7/32", 1024, 65535),
    ]


def test_the_ports_of_data_connections_can_be_narrowed() -> None:
    narrow = station(**EDIP, passive_ports="50000-50100")
    ports = {(network.port, network.end_port) for network in networks_of(narrow)}
    assert ports == {(21, None), (2121, None), (50000, 50100)}
    assert "passive_ports" not in station_of(narrow).settings


def test_a_window_is_checked() -> None:
    good = {"S1": [{"start": "0 19 * * 5", "minutes": 240}]}
    assert Environment.parse("local", {"sampling": good}).sampling.S1[0].minutes == 240
    with pytest.raises(UserError, match=r"sampling\.S1\.0\.start"):
        Environment.parse("local", {"sampling": {"S1": [{"start": "fridays", "minutes": 240}]}})


SECRET = {"access_key": "a", "secret_key": "b"}


@pytest.mark.parametrize(
    "fields",
    [
        {**ODATA, "client_certificate_pem": "PEM", "client_key": "KEY", "page_size": 7, "history_days": 2},
        {"type": "lta", "url": "https://l.example", "token_url": "https://l/t", "client_id": "c", "client_secret": "s"},
        {"type": "xbip", "url": "https://x.example", "username": "u", "password": "p", "ca_file_pem": "CA"},
        {**EDIP, "password": "p", "directories": ["NOMINAL", "S1_AUX"], "passive_ports": "50000-50100"},
        {"type": "s3", "url": "https://s3.example", "bucket": "bucket", "prefix": "x", "region": "r", **SECRET},
    ],
    ids=lambda fields: str(fields["type"]),
)
def test_what_the_config_takes_the_ingestion_reads(fields: dict[str, Any], tmp_path: Path) -> None:
    made = station_of(station(**fields))
    for name in [*station_secrets([made]), "X.crt"]:
        (tmp_path / name).write_text("x")
    entry = station_entry(made, "DIRECTORY", "DIRECTORY-secrets")
    text = json.dumps([entry]).replace("DIRECTORY-secrets", str(tmp_path)).replace("DIRECTORY", str(tmp_path))
    (tmp_path / "stations.yaml").write_text(text)
    read = load_stations(tmp_path / "stations.yaml").by_name["X"]
    assert read.type == fields["type"]
    assert read.model_fields_set >= set(made.settings)
