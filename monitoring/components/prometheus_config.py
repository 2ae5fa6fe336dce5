"""Prometheus' configuration, its rules, and who may ask what of it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from refsys.monitoring.components.blackbox_config import Target, probe_job
from refsys.monitoring.components.node_exporter import node_job
from refsys.monitoring.components.prices import FILE as PRICES
from refsys.monitoring.components.prices import Prices, price_rules
from refsys.monitoring.components.scraping import scrape_configs
from refsys.platform.components.configuration import CA, CERTIFICATE, PRIVATE_KEY
from refsys.platform.components.envoy import TLS_DIRECTORY
from refsys.platform.components.mutual_tls import Access, Guarded
from refsys.platform.components.names import ALERTMANAGER, ALERTMANAGER_PORT, OPERATIONS, PROMETHEUS, PROMETHEUS_PORT

RULES = Path(__file__).parents[1] / "rules"
DATA_DIRECTORY = "/var/lib/prometheus"
CONFIG_DIRECTORY = "/etc/refsys/prometheus"
CONFIG_FILE = "prometheus.yml"
RULES_DIRECTORY = "/etc/refsys/rules"
SERVER_PORT = 9096
SCRAPE_INTERVAL = timedelta(seconds=30)

ACCESS = (
    Access(OPERATIONS, ("GET", "POST"), "/api/v1/(query|query_range)"),
    Access(OPERATIONS, ("GET",), "/api/v1/targets"),
)

GUARDED = Guarded(
    PROMETHEUS,
    PROMETHEUS_PORT,
    SERVER_PORT,
    ready="/-/ready",
    live="/-/healthy",
    access=ACCESS,
    metrics="/metrics",
)


def prometheus_config(
    domain: str, interval: timedelta = SCRAPE_INTERVAL, probed: Sequence[Target] = ()
) -> dict[str, Any]:
    """Return `prometheus.yml`; each alert says the environment's domain."""
    every = f"{int(interval.total_seconds())}s"
    return {
        "global": {
            "scrape_interval": every,
            "scrape_timeout": "10s",
            "evaluation_interval": every,
            "external_labels": {"environment": domain},
        },
        "alerting": {"alertmanagers": [_alertmanager()]},
        "rule_files": [f"{RULES_DIRECTORY}/*.yml"],
        "scrape_configs": [*scrape_configs(), node_job(domain), probe_job(probed)],
    }


def rules(prices: Prices | None = None) -> Mapping[str, str]:
    """Return the files of rules, by their names; one of them records the prices."""
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(RULES.glob("*.yml"))}
    return files | {PRICES: price_rules(prices or Prices())}


def _alertmanager() -> dict[str, Any]:
    return {
        "scheme": "https",
        "static_configs": [{"targets": [f"{ALERTMANAGER.host}:{ALERTMANAGER_PORT}"]}],
        "tls_config": {
            "ca_file": f"{TLS_DIRECTORY}/{CA}",
            "cert_file": f"{TLS_DIRECTORY}/{CERTIFICATE}",
            "key_file": f"{TLS_DIRECTORY}/{PRIVATE_KEY}",
        },
    }
