"""Probes of what answers from outside: the blackbox exporter's modules, what is probed, and Prometheus' job for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from refsys.platform.components.names import (
    BLACKBOX,
    BLACKBOX_PORT,
    COREDNS,
    DNS_PORT,
    GATEWAY,
    OBJECT_STORE,
    OBJECT_STORE_PORT,
    OPENBAO,
    OPENBAO_PORT,
)
from refsys.platform.components.object_store import HEALTH_PATH

CONFIG_DIRECTORY = "/etc/refsys/blackbox"
CONFIG_FILE = "blackbox.yml"
OWN_CA = "own.crt"
STATIONS_CA = "stations.crt"
JOB = "blackbox"
SECONDS = 30
TIMEOUT_SECONDS = 8
FTPS_PORT = 21

PATHS = {"auth": "/realms/refsys/.well-known/openid-configuration", "stac": "/api"}
"""Pages that need no token, by host name; the others refuse who has none, which is an answer as well."""
ANSWERS = [200, 204, 207, 301, 302, 303, 307, 308, 401, 403, 404, 405]
"""What a server says that is well, to somebody who has no login."""
KEPT = "probe_(success|duration_seconds|http_status_code|ssl_earliest_cert_expiry|tls_version_info)"

Kind = Literal["http", "tcp", "dns", "tls"]


@dataclass(frozen=True)
class Target:
    """Something that is probed: `station` or else `name` says whose it is."""

    name: str
    address: str
    """URL, or host and port."""
    module: str
    probe: Kind
    hostname: str = ""
    """The name that is asked for, where the address is another."""
    station: bool = False


@dataclass(frozen=True)
class ProbedStation:
    """A station as its config has it."""

    name: str
    url: str
    own_authority: bool
    """Whether its certificate is of an authority that the config names, and not of a public one."""


def modules() -> dict[str, Any]:
    """Return the exporter's configuration."""
    own, stations = ({"ca_file": f"{CONFIG_DIRECTORY}/{name}"} for name in (OWN_CA, STATIONS_CA))
    return {
        "modules": {
            "http_2xx": _http([], own),
            "http_answers": _http(ANSWERS, own),
            "http_station": _http(ANSWERS, stations),
            "http_public": _http(ANSWERS, {}),
            "http_plain": _http(ANSWERS, None),
            "tcp": _module("tcp", {}),
            "ftps_station": _ftps(stations),
            "ftps_public": _ftps({}),
            "dns": _module(
                "dns",
                {"query_name": "kubernetes.default.svc.cluster.local", "query_type": "A", "recursion_desired": False},
            ),
        }
    }


def _module(prober: str, settings: dict[str, Any]) -> dict[str, Any]:
    address = {"preferred_ip_protocol": "ip4", "ip_protocol_fallback": False}
    return {"prober": prober, "timeout": f"{TIMEOUT_SECONDS}s", prober: {**address, **settings}}


def _http(statuses: Sequence[int], tls: dict[str, str] | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"follow_redirects": False, "valid_status_codes": list(statuses)}
    return _module("http", settings | ({} if tls is None else {"fail_if_not_ssl": True, "tls_config": tls}))


def _ftps(tls: dict[str, str]) -> dict[str, Any]:
    """FTP that turns to TLS (RFC 4217)."""
    talk = [{"expect": "^220"}, {"send": "AUTH TLS"}, {"expect": "^234"}, {"starttls": True}]
    return _module("tcp", {"query_response": talk, "tls_config": tls})


def config_text() -> str:
    """Return `blackbox.yml`."""
    return yaml.safe_dump(modules(), sort_keys=False)


def targets(domain: str, hosts: Iterable[str], stations: Iterable[ProbedStation] = ()) -> list[Target]:
    """Return what is probed: the gateway's public hosts, what all depend on inside, names, and the stations.

    Public hosts are asked of the gateway inside the cluster, by their names: what lies before it is not the
    environment's.
    """
    gateway = f"https://{GATEWAY.host}"
    public = [
        Target(
            f"{host}.{domain}",
            f"{gateway}{PATHS.get(host, '/')}",
            "http_2xx" if host in PATHS else "http_answers",
            "http",
            hostname=f"{host}.{domain}",
        )
        for host in hosts
    ]
    store = f"https://{OBJECT_STORE.host}:{OBJECT_STORE_PORT}{HEALTH_PATH}"
    bao = f"https://{OPENBAO.host}:{OPENBAO_PORT}/v1/sys/health"
    inside = [
        Target(OBJECT_STORE.name, store, "http_2xx", "http"),
        Target(OPENBAO.name, bao, "http_2xx", "http"),
        Target("names", f"{COREDNS.host}:{DNS_PORT}", "dns", "dns"),
    ]
    return [*public, *inside, *map(station_target, stations)]


def station_target(station: ProbedStation) -> Target:
    """Return how a station is probed, by its address."""
    parts = urlsplit(station.url)
    kind = "station" if station.own_authority else "public"
    if parts.scheme in ("http", "https"):
        module = f"http_{kind}" if parts.scheme == "https" else "http_plain"
        return Target(station.name, station.url, module, "http", station=True)
    address = f"{parts.hostname}:{parts.port or FTPS_PORT}"
    if parts.scheme == "ftps":
        return Target(station.name, address, f"ftps_{kind}", "tls", station=True)
    return Target(station.name, address, "tcp", "tcp", station=True)


def probe_job(probed: Sequence[Target]) -> dict[str, Any]:
    """Return Prometheus' job: it asks the exporter, which asks the target."""
    return {
        "job_name": JOB,
        "scrape_interval": f"{SECONDS}s",
        "metrics_path": "/probe",
        "static_configs": [{"targets": [target.address], "labels": _labels(target)} for target in probed],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__address__"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"{BLACKBOX.host}:{BLACKBOX_PORT}"},
        ],
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": KEPT, "action": "keep"}],
    }


def _labels(target: Target) -> dict[str, str]:
    hostname = {"__param_hostname": target.hostname} if target.hostname else {}
    whose = {"station" if target.station else "target": target.name}
    return {"__param_module": target.module, **hostname, **whose, "probe": target.probe}
