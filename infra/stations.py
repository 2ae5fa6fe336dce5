"""The environment's stations as the chain takes them, and where on the network they are."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

import pulumi
from pydantic import SecretStr

from refsys.infra import environment as environments
from refsys.platform.components.flows import ANYWHERE, StationNetwork
from refsys.services.components import Station

_PORTS = {"http": 80, "https": 443, "ftps": 21, "ldaps": 636}
_PASSIVE = "1024-65535"
"""Ports of an FTPS server's data connections where the config names none: it tells them itself, encrypted."""
_OWN = {"name", "type", "url", "inboxes", "ca_file_pem", "client_certificate_pem", "passive_ports"}


def station_of(station: environments.Station) -> Station:
    """The station as the chain takes it: every field that is set, secrets apart."""
    secrets: dict[str, pulumi.Input[str]] = {
        field: pulumi.Output.secret(value.get_secret_value())
        for field in type(station).model_fields
        if isinstance(value := getattr(station, field), SecretStr)
    }
    if station.client_certificate_pem:
        secrets["client_certificate"] = station.client_certificate_pem
    return Station(
        name=station.name,
        type=station.type,
        url=station.url,
        inboxes=[inbox.model_dump(exclude_none=True) for inbox in station.inboxes],
        settings=station.model_dump(exclude_none=True, exclude=_OWN | set(secrets)),
        secrets=secrets,
        ca_pem=station.ca_file_pem,
    )


def networks_of(station: environments.Station) -> Iterator[StationNetwork]:
    """Where a station and its tokens are reached; one known by name has any address."""
    for url in filter(None, (station.url, station.backup_url, station.token_url)):
        network = network_of(url)
        yield network
        if urlsplit(url).scheme == "ftps":
            first, last = (station.passive_ports or _PASSIVE).split("-")
            yield StationNetwork(network.cidr, int(first), int(last))


def network_of(url: str) -> StationNetwork:
    """Where an address is reached; one known by name has any address."""
    parts = urlsplit(url)
    try:
        cidr = str(ipaddress.ip_network(parts.hostname or ""))
    except ValueError:
        cidr = ANYWHERE.cidr
    return StationNetwork(cidr, parts.port or _PORTS[parts.scheme])
