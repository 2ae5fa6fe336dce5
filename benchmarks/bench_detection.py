"""What detection costs the chain: products a second with it and without, in a running environment of this machine.

`./refsys bench detection [ENVIRONMENT]`. Without means: no collector, Suricata and samhain on the nodes, no indexer,
detector and log store in the cluster. Both are measured in turn, several times, from the first to the last publication
of each batch. Afterwards everything runs again.
"""

import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kubernetes import client, config
from rich.console import Console
from rich.table import Table
from tests.means.generator import generate

from refsys.infra import paths, ssh
from refsys.infra.demo.client import Client
from refsys.infra.demo.endpoints import Endpoints
from refsys.infra.demo.products import Products
from refsys.infra.demo.stations import playing
from refsys.infra.demo.waiting import wait_for
from refsys.infra.playbook import hosts

PAIRS = 3
FILES = 1500  # made; two in five are files as they are handed over, the others would be archives
TARGET = 0.95
UNITS = ("rsyslog", "suricata", "samhain")
DEPLOYMENTS = ("log-indexer", "detector")
LOG_STORE = "log-store"
SETTLE_SECONDS = 20


class Detection:
    """The parts of an environment that detect."""

    def __init__(self, environment: str, kubeconfig: str) -> None:
        """Nothing is changed yet."""
        self._environment = environment
        self._inventory = json.loads((paths.environment_home(environment) / "inventory.yml").read_text())
        self._apps = client.AppsV1Api(config.new_client_from_config(kubeconfig))

    @contextmanager
    def off(self) -> Iterator[None]:
        """Stop them while the context lasts."""
        self._turn("stop", 0)
        try:
            yield
        finally:
            self._turn("start", 1)

    def _turn(self, verb: str, replicas: int) -> None:
        for host in hosts(self._inventory).values():
            options = shlex.split(host["ansible_ssh_common_args"])
            login = ["ssh", "-i", str(ssh.key_file(self._environment)), *options, f"root@{host['ansible_host']}"]
            subprocess.run([*login, f"systemctl {verb} {' '.join(UNITS)}"], check=True)
        body = {"spec": {"replicas": replicas}}
        for name in DEPLOYMENTS:
            self._apps.patch_namespaced_deployment_scale(name, "processing", body)
        self._apps.patch_namespaced_stateful_set_scale(LOG_STORE, "monitoring", body)
        while (self._apps.read_namespaced_stateful_set(LOG_STORE, "monitoring").status.ready_replicas or 0) != replicas:
            time.sleep(1)
        time.sleep(SETTLE_SECONDS)


def rate(endpoints: Endpoints, seed: int, console: Console) -> float:
    """Products a second of one batch."""
    with (
        tempfile.TemporaryDirectory(prefix="refsys-bench-") as folder,
        Client(endpoints) as user,
    ):
        samples = Path(folder, "samples")
        generate(samples, FILES, seed, size=1000)
        (auxip,) = [station for station in endpoints.stations if station.type == "auxip"]
        with playing([auxip], Path(folder), samples) as (station,):
            batch = [file for file in station.files if (samples / file.name).exists()]
            wait_for([Products(user, batch)], console)
        moments = sorted(
            datetime.fromisoformat(row["PublicationDate"]) for row in user.products([f.name for f in batch])
        )
    return (len(moments) - 1) / (moments[-1] - moments[0]).total_seconds()


def main() -> int:
    """Measure and print; the exit code says whether the target was met."""
    environment = sys.argv[1] if len(sys.argv) > 1 else "local"
    console = Console()
    found = json.loads((paths.environment_home(environment) / "endpoints.json").read_text())
    endpoints, detection = Endpoints.model_validate(found["demo"]), Detection(environment, found["kubeconfig"])
    # Other names in each run: what was published once is not published again. Larger seeds are beyond all calendars.
    seeds = iter(range(10 + int(time.time()) // 60 % 60 * 8, 500))
    rate(endpoints, next(seeds), console)  # what is slow only once
    with_it, without = [], []
    for _ in range(PAIRS):
        with_it.append(rate(endpoints, next(seeds), console))
        with detection.off():
            without.append(rate(endpoints, next(seeds), console))
    ratio = statistics.median(with_it) / statistics.median(without)
    table = Table("products a second", "runs", "median")
    for name, rates in (("with detection", with_it), ("without", without)):
        table.add_row(name, ", ".join(f"{value:.1f}" for value in rates), f"{statistics.median(rates):.1f}")
    console.print(table)
    colour = "green" if ratio >= TARGET else "red"
    console.print(f"with detection [{colour}]{ratio:.3f}[/] of the rate without, wanted ≥ {TARGET}", highlight=False)
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
