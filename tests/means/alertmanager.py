"""A real Alertmanager on loopback (Debian: prometheus-alertmanager), behind its sidecar as in an environment."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from refsys.monitoring.components.alertmanager_config import GUARDED, Alerting, alertmanager_config
from tests.means.certificates import Authority
from tests.means.envoy import HOST, Front, before
from tests.means.processes import free_port, listens, running

PROGRAM = Path("/usr/bin/prometheus-alertmanager")
_MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager."""

    front: Front

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self.front.url

    def client(self, process: str | None) -> httpx.Client:
        """A client with the certificate of a process, or without one."""
        return self.front.client(process)

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts that it holds."""
        with self.client("operations") as client:
            found: list[dict[str, Any]] = client.get("/api/v2/alerts").raise_for_status().json()
            return found


def written(folder: Path, alerting: Alerting, faster: int = 1) -> Path:
    """Write the configuration, with all times `faster` times shorter; return its place."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(_hurried(alertmanager_config(alerting), faster)))
    return file


def _hurried(part: Any, faster: int) -> Any:
    if isinstance(part, dict):
        return {key: _hurried(value, faster) for key, value in part.items()}
    if isinstance(part, list):
        return [_hurried(value, faster) for value in part]
    if faster > 1 and (time := re.fullmatch(r"(\d+)([smh])", str(part))):
        return f"{int(time[1]) * _MILLISECONDS[time[2]] // faster}ms"
    return part


@contextmanager
def alertmanager(
    folder: Path, authority: Authority, alerting: Alerting | None = None, faster: int = 1
) -> Iterator[Alertmanager]:
    """Run Alertmanager and sidecar until the context ends, with all its times `faster` times shorter."""
    if not PROGRAM.exists():
        raise RuntimeError("Alertmanager is missing: apt-get install prometheus-alertmanager")
    port = free_port()
    command: list[str | Path] = [
        PROGRAM,
        f"--config.file={written(folder, alerting or Alerting(), faster)}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
    ]
    with (
        running(command, folder / "log", ready=lambda: listens(port), seconds=30),
        before(GUARDED, port, folder / "sidecar", authority) as front,
    ):
        yield Alertmanager(front)
