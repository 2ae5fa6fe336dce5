"""The real exporters on loopback, with the configuration of an environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from refsys.infra.toolchain import tool_bin
from refsys.monitoring.components import blackbox_config
from refsys.platform.components import object_store_metrics
from refsys.platform.components.postgresql import data_source
from tests.means.processes import free_port, listens, running

BLACKBOX = Path("/usr/bin/prometheus-blackbox-exporter")
POSTGRESQL = Path("/usr/bin/prometheus-postgres-exporter")
USER = "nobody"
"""As whom PostgreSQL's exporter runs here."""


def values(text: str) -> dict[str, float]:
    """Samples in Prometheus' text format, by name and labels: `name{label=value,…}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def fetched(url: str) -> dict[str, float]:
    """What an exporter tells."""
    return values(httpx.get(url, timeout=30, trust_env=False).raise_for_status().text)


@contextmanager
def blackbox(folder: Path, own_ca: Path, stations_ca: Path) -> Iterator[str]:
    """Run the blackbox exporter until the context ends; yields the address of its probes."""
    _there(BLACKBOX)
    port, config = free_port(), folder / blackbox_config.CONFIG_FILE
    text = blackbox_config.config_text()
    for name, file in ((blackbox_config.OWN_CA, own_ca), (blackbox_config.STATIONS_CA, stations_ca)):
        text = text.replace(f"{blackbox_config.CONFIG_DIRECTORY}/{name}", str(file))
    config.write_text(text)
    command: list[str | Path] = [BLACKBOX, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, folder / "blackbox.log", ready=lambda: listens(port), seconds=20):
        yield f"http://127.0.0.1:{port}/probe"


@contextmanager
def postgresql_exporter(folder: Path, socket_folder: Path, server_port: int) -> Iterator[str]:
    """Run PostgreSQL's exporter until the context ends; yields the address of its metrics."""
    _there(POSTGRESQL)
    port = free_port()
    become = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    environment = {"DATA_SOURCE_NAME": f"{data_source(str(socket_folder))} port={server_port}"}
    command: list[str | Path] = [*become, POSTGRESQL, f"--web.listen-address=127.0.0.1:{port}"]
    log = folder / "postgresql-exporter.log"
    with running(command, log, ready=lambda: listens(port), seconds=20, environment=environment):
        yield f"http://127.0.0.1:{port}/metrics"


@contextmanager
def statsd_exporter(folder: Path, statsd: str) -> Iterator[str]:
    """Run the translator of StatsD until the context ends; yields the address of its metrics."""
    port, config = free_port(), folder / object_store_metrics.FILE
    config.write_text(object_store_metrics.statsd_config())
    command: list[str | Path] = [
        tool_bin("statsd-exporter") / "statsd_exporter",
        *object_store_metrics.exporter_args(port, statsd, str(config)),
    ]
    with running(command, folder / "statsd.log", ready=lambda: listens(port), seconds=20):
        yield f"http://127.0.0.1:{port}/metrics"


def _there(program: Path) -> None:
    if not program.exists():
        raise RuntimeError(f"{program.name} is missing: apt-get install {program.name}")
