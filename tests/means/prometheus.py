"""A real Prometheus on loopback (Debian: prometheus), behind its sidecar as in an environment."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from refsys.monitoring.components.prometheus_config import GUARDED, prometheus_config
from tests.means.certificates import Authority
from tests.means.envoy import HOST, Front, before
from tests.means.processes import free_port, running

PROGRAM = Path("/usr/bin/prometheus")
PROMTOOL = Path("/usr/bin/promtool")


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    front: Front
    server_url: str
    """Past its sidecar."""

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self.front.url

    def client(self, process: str | None) -> httpx.Client:
        """A client with the certificate of a process, or without one."""
        return self.front.client(process)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What it answers now."""
        answer = httpx.get(f"{self.server_url}/api/v1/query", params={"query": expression}, trust_env=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found


def written(folder: Path, rules: Mapping[str, str] | None = None, **changes: Any) -> Path:
    """Write the configuration, but for `changes`, and rules; return its place."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for name, text in (rules or {}).items():
        (folder / "rules" / name).write_text(text)
    file = folder / "prometheus.yml"
    config = prometheus_config("test.example") | {"rule_files": [f"{folder}/rules/*.yml"]} | changes
    file.write_text(yaml.safe_dump(config))
    return file


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    _there(PROMTOOL)
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)


@contextmanager
def prometheus(
    folder: Path, authority: Authority, targets: Sequence[str] = (), rules: Mapping[str, str] | None = None
) -> Iterator[Prometheus]:
    """Run Prometheus and sidecar until the context ends; it asks `targets` (host:port) each second, as job `test`.

    The folder keeps what it scraped.
    """
    _there(PROGRAM)
    port = free_port()
    job = {"job_name": "test", "static_configs": [{"targets": list(targets)}]}
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = written(folder, rules, scrape_configs=[job], alerting={}, **{"global": every})
    command: list[str | Path] = [
        PROGRAM,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    server = f"http://{HOST}:{port}"
    with (
        running(command, folder / "log", ready=lambda: _ready(server), seconds=30),
        before(GUARDED, port, folder / f"sidecar-{port}", authority) as front,
    ):
        yield Prometheus(front, server)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _there(program: Path) -> None:
    if not program.exists():
        raise RuntimeError("Prometheus is missing: apt-get install prometheus")
