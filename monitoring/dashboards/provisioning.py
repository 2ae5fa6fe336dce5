"""Grafana's provisioning: a folder a dashboard, and where the figures and the logs come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from refsys.monitoring.dashboards.board import LOG_STORE, PROMETHEUS, Board
from refsys.monitoring.dashboards.boards import BOARDS
from refsys.platform.components.configuration import CA, CERTIFICATE, PRIVATE_KEY
from refsys.platform.components.names import LOG_STORE as LOG_STORE_APP
from refsys.platform.components.names import LOG_STORE_PORT, PROMETHEUS_PORT
from refsys.platform.components.names import PROMETHEUS as PROMETHEUS_APP

DASHBOARDS_DIRECTORY = "/var/lib/grafana/dashboards"
TLS_DIRECTORY = "/etc/grafana/tls"
INDEX = "logs-*"


@dataclass(frozen=True)
class Sources:
    """Where Grafana asks; both want a client certificate, which lies in `tls` as `ca.crt`, `tls.crt` and `tls.key`."""

    prometheus: str = f"https://{PROMETHEUS_APP.host}:{PROMETHEUS_PORT}"
    log_store: str = f"https://{LOG_STORE_APP.host}:{LOG_STORE_PORT}"
    tls: str = TLS_DIRECTORY


def datasources(sources: Sources) -> dict[str, Any]:
    """Return `provisioning/datasources/refsys.yaml`."""
    logs = {
        "database": INDEX,
        "flavor": "opensearch",
        "version": "2.19.0",
        "timeField": "@timestamp",
        "logMessageField": "message",
        "logLevelField": "severity",
    }
    return {
        "apiVersion": 1,
        "datasources": [
            {
                **_source(sources, "Prometheus", PROMETHEUS.type_val, PROMETHEUS.uid, sources.prometheus),
                "isDefault": True,
                "jsonData": {**_TLS, "httpMethod": "POST", "timeInterval": "30s"},
            },
            {
                **_source(sources, "Log store", LOG_STORE.type_val, LOG_STORE.uid, sources.log_store),
                "jsonData": {**_TLS, **logs},
            },
        ],
    }


_TLS = {"tlsAuth": True, "tlsAuthWithCACert": True}


def _source(sources: Sources, name: str, kind: str | None, uid: str | None, url: str) -> dict[str, Any]:
    files = {"tlsCACert": CA, "tlsClientCert": CERTIFICATE, "tlsClientKey": PRIVATE_KEY}
    return {
        "name": name,
        "type": kind,
        "uid": uid,
        "access": "proxy",
        "url": url,
        "editable": False,
        "secureJsonData": {key: f"$__file{{{sources.tls}/{file}}}" for key, file in files.items()},
    }


def providers() -> dict[str, Any]:
    """Return `provisioning/dashboards/refsys.yaml`: the folders of the files are Grafana's."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "refsys",
                "type": "file",
                "allowUiUpdates": False,
                "updateIntervalSeconds": 60,
                "options": {"path": DASHBOARDS_DIRECTORY, "foldersFromFilesStructure": True},
            }
        ],
    }


def dashboard_json(board: Board) -> str:
    """Return the file of a dashboard."""
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def write(folder: Path, sources: Sources | None = None) -> list[Path]:
    """Write `provisioning/` for /etc/grafana, and `dashboards/` for `DASHBOARDS_DIRECTORY`; return the files."""
    files = {
        "provisioning/datasources/refsys.yaml": yaml.safe_dump(datasources(sources or Sources()), sort_keys=False),
        "provisioning/dashboards/refsys.yaml": yaml.safe_dump(providers(), sort_keys=False),
        **{f"dashboards/{board.title}/{board.uid}.json": dashboard_json(board) for board in BOARDS},
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return [folder / name for name in files]
