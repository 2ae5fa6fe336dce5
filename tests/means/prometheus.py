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
from tests.means.processes import Server, free_port, running

PROGRAM = Path("/usr/bin/prometheus")
PROMTOOL = Path("/usr/bin/promtool")
EVERY_SECOND = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    front: Front
    server: Server
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
    folder: Path,
    authority: Authority,
    rules: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    **changes: Any,
) -> Iterator[Prometheus]:
    """Run Prometheus and sidecar until the context ends; what it scraped stays in the folder.

    Its configuration is that of an environment, but for `changes`: without them it asks nobody, and tells nobody.
    """
    _there(PROGRAM)
    port = free_port()
    config = written(folder, rules, **{"scrape_configs": [], "alerting": {}, "global": EVERY_SECOND, **changes})
    command: list[str | Path] = [
        PROGRAM,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        *arguments,
    ]
    url = f"http://{HOST}:{port}"
    with (
        running(command, folder / "log", ready=lambda: _ready(url), seconds=30) as server,
        before(GUARDED, port, folder / "sidecar", authority) as front,
    ):
        yield Prometheus(front, server, url)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _there(program: Path) -> None:
    if not program.exists():
        raise RuntimeError("Prometheus is missing: apt-get install prometheus")
