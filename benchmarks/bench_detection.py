"""What detection costs the chain: products a second with it and without, in a running environment of this machine.

`./refsys bench detection [ENVIRONMENT]`. Three states are measured in turn, several times, from the first to the last
publication of each batch:

- all: everything runs;
- no detection: without Suricata, samhain and policy-watch on the nodes, and without the detector;
- no logs: without the collector, the indexer and the log store either, which are monitoring's.

After the log store was started a batch goes through that is not counted: a Java program's first minute is no measure of
what it costs. Afterwards everything runs again.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kubernetes import client, config
from rich.console import Console
from rich.table import Table
from tests.means.generator import LAST_SEED, generate

from refsys.infra import paths
from refsys.infra.demo.client import Client
from refsys.infra.demo.endpoints import Endpoints
from refsys.infra.demo.products import Products
from refsys.infra.demo.stations import playing
from refsys.infra.demo.waiting import wait_for
from refsys.infra.playbook import hosts, login

ROUNDS = 3
FILES = 1500  # made; two in five are files as they are handed over, the others would be archives
TARGETS = {"no detection": 0.95, "no logs": 0.9}
"""What the rate with all must be of the rate in these states."""
SETTLE_SECONDS = 20


@dataclass(frozen=True)
class Parts:
    """Units of the nodes, and Deployments and StatefulSets of the cluster as namespace/name."""

    units: tuple[str, ...]
    deployments: tuple[str, ...]
    stateful_sets: tuple[str, ...] = ()


DETECTION = Parts(("suricata", "samhain", "policy-watch"), ("processing/detector",))
LOGS = Parts(("rsyslog",), ("processing/log-indexer",), ("monitoring/log-store",))


class Switch:
    """Turns parts of an environment off and on."""

    def __init__(self, environment: str, kubeconfig: str) -> None:
        """Nothing is changed yet."""
        self._environment = environment
        self._inventory = json.loads((paths.environment_home(environment) / "inventory.yml").read_text())
        self._apps = client.AppsV1Api(config.new_client_from_config(kubeconfig))

    @contextmanager
    def off(self, parts: Parts) -> Iterator[None]:
        """Keep them off while the context lasts."""
        self._turn(parts, "stop", 0)
        try:
            yield
        finally:
            self._turn(parts, "start", 1)

    def _turn(self, parts: Parts, verb: str, replicas: int) -> None:
        for host in hosts(self._inventory).values():
            subprocess.run([*login(host), f"systemctl {verb} {' '.join(parts.units)}"], check=True)
        body = {"spec": {"replicas": replicas}}
        for each in parts.deployments:
            namespace, name = each.split("/")
            self._apps.patch_namespaced_deployment_scale(name, namespace, body)
        for each in parts.stateful_sets:
            namespace, name = each.split("/")
            self._apps.patch_namespaced_stateful_set_scale(name, namespace, body)
            while (self._apps.read_namespaced_stateful_set(name, namespace).status.ready_replicas or 0) != replicas:
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
    """Measure and print; the exit code says whether the targets were met."""
    environment = sys.argv[1] if len(sys.argv) > 1 else "local"
    console = Console()
    found = json.loads((paths.environment_home(environment) / "endpoints.json").read_text())
    endpoints, switch = Endpoints.model_validate(found["demo"]), Switch(environment, found["kubeconfig"])
    # Other names in each run: what was published once is not published again. Larger seeds are beyond all calendars.
    seeds = iter(range(10 + int(time.time()) // 60 % 24 * 15, LAST_SEED + 1))
    rates: dict[str, list[float]] = {"all": [], **{state: [] for state in TARGETS}}

    def measure(state: str) -> None:
        rates[state].append(rate(endpoints, next(seeds), console))
        console.print(f"{state}: {rates[state][-1]:.1f} products/s", highlight=False)

    for _ in range(ROUNDS):
        rate(endpoints, next(seeds), console)  # what is slow only at first
        measure("all")
        with switch.off(DETECTION):
            measure("no detection")
            with switch.off(LOGS):
                measure("no logs")
    table = Table("state", "products a second", "median", "all is of it", "wanted")
    middle = {state: statistics.median(values) for state, values in rates.items()}
    good = True
    for state, values in rates.items():
        ratio, target = middle["all"] / middle[state], TARGETS.get(state, 0)
        good &= ratio >= target
        shown = ", ".join(f"{value:.1f}" for value in values)
        wanted = (f"{ratio:.3f}", f"≥ {target}") if target else ("", "")
        table.add_row(state, shown, f"{middle[state]:.1f}", *wanted)
    console.print(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
