"""What monitoring costs: CPU and memory of all that belongs to it, in a running environment of this machine.

`./refsys bench monitoring [ENVIRONMENT]`. Two states, some minutes each: at rest, and while a demo with some hundred
more products goes through the chain. The kubelets tell the CPU time and the working set of containers, and the nodes
those of their units. Of Kafka it takes the part of CPU that its bytes of logs and traces are of all its bytes; its
memory is there for the chain anyway. What the nodes' timers start for a moment is not in it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kubernetes import client, config
from rich.console import Console
from rich.table import Table
from tests.local.prometheus import Asked
from tests.means.generator import LAST_SEED, generate

from refsys.infra import paths
from refsys.infra.playbook import hosts, login

REST_SECONDS = 240
FILES = 300
CPU_SHARE, GIBIBYTES = 0.10, 2.5
NAMESPACE = "monitoring"
PROCESSES = {"log-indexer", "kpi", "exporter"}
"""Of the chain's namespace; the detector is security's, and the operators' API is theirs."""
SIDECARS = {("postgresql-0", "exporter"), ("object-store-0", "exporter")}
UNITS = ("rsyslog", "prometheus-node-exporter")
LOOK = f"""for unit in {" ".join(UNITS)}; do
  pid=$(systemctl show --property MainPID --value $unit)
  [ $pid -gt 0 ] || continue
  echo $unit $(date +%s.%N) $(cut -d' ' -f14,15 /proc/$pid/stat) $(awk '/^VmRSS/ {{print $2}}' /proc/$pid/status)
done"""
OF_LOGS = 'topic=~"logs-.*|traces"'
SETTLE_SECONDS = 30
"""The kubelets' figures are up to so old."""


@dataclass(frozen=True)
class Use:
    """What a process had used at a moment."""

    moment: float
    cpu_seconds: float
    bytes: float


@dataclass(frozen=True)
class Cost:
    """What a process uses: cores, and bytes."""

    cores: float
    bytes: float


class Environment:
    """A running environment of this machine, and its figures."""

    def __init__(self, name: str) -> None:
        """Nothing is asked yet."""
        home = paths.environment_home(name)
        found = json.loads((home / "endpoints.json").read_text())
        self.name = name
        self._api = config.new_client_from_config(found["kubeconfig"])
        self._nodes = hosts(json.loads((home / "inventory.yml").read_text()))

    def looked(self) -> dict[str, Use]:
        """What each process of monitoring had used; Kafka as a whole is among them."""
        found: dict[str, Use] = {}
        for name, host in self._nodes.items():
            for pod in self._summary(name)["pods"]:
                for container in pod["containers"]:
                    if what := belongs(pod["podRef"], container["name"]):
                        found[what] = _use(container)
            for line in self._on_node(host).splitlines():
                unit, moment, user, system, kibibytes = line.split()
                ticks = os.sysconf("SC_CLK_TCK")
                used = (int(user) + int(system)) / ticks
                found[f"{unit} on {name}"] = Use(float(moment), used, int(kibibytes) * 1024)
        return found

    def share_of_logs(self, seconds: float) -> float:
        """The part of Kafka's bytes that are logs and traces, in the last seconds."""
        metric = "kafka_server_brokertopicmetrics_bytesinpersec_total"
        window = f"[{int(seconds)}s]"
        expression = f'sum(increase({metric}{{{OF_LOGS}}}{window})) / sum(increase({metric}{{topic!=""}}{window}))'
        (series,) = Asked(self._api).query(expression)
        return float(series["value"][1])

    def _summary(self, node: str) -> dict[str, Any]:
        told = client.CoreV1Api(self._api).connect_get_node_proxy_with_path(
            node, "stats/summary", _preload_content=False
        )
        answer: dict[str, Any] = json.loads(told.data)
        return answer

    def _on_node(self, host: dict[str, Any]) -> str:
        return subprocess.run([*login(host), LOOK], check=True, capture_output=True, text=True).stdout


def belongs(pod: dict[str, str], container: str) -> str:
    """What a container of monitoring is called in the table; nothing for others."""
    if pod["namespace"] == NAMESPACE:
        app = pod["name"].rsplit("-", 1)[0] if pod["name"].endswith("-0") else pod["name"].rsplit("-", 2)[0]
        return app if container == app else f"{app}: {container}"
    if container in PROCESSES and pod["namespace"] == "processing":
        return container
    if (pod["name"], container) in SIDECARS:
        return f"{pod['name'].removesuffix('-0')}: {container}"
    return "kafka" if container == "kafka" else ""


def _use(container: dict[str, Any]) -> Use:
    cpu = container["cpu"]
    moment = datetime.fromisoformat(cpu["time"]).timestamp()
    return Use(moment, cpu["usageCoreNanoSeconds"] / 1e9, container["memory"]["workingSetBytes"])


def costs(before: dict[str, Use], after: dict[str, Use], of_kafka: float) -> dict[str, Cost]:
    """What was used between two looks; a process that was started between them began at nothing."""
    found = {}
    for name, last in after.items():
        first = before.get(name, last)
        seconds = last.moment - first.moment
        cores = (last.cpu_seconds - first.cpu_seconds) / seconds if seconds > 0 else 0.0
        found[name] = Cost(cores, last.bytes)
    kafka = found.pop("kafka")
    found[f"Kafka's share of logs ({of_kafka:.0%} of its bytes)"] = Cost(kafka.cores * of_kafka, 0)
    return found


def at_rest(environment: Environment) -> dict[str, Cost]:
    """Nobody wants anything."""
    before, started = environment.looked(), time.monotonic()
    time.sleep(REST_SECONDS)
    return costs(before, environment.looked(), environment.share_of_logs(time.monotonic() - started))


def in_a_demo(environment: Environment) -> dict[str, Cost]:
    """The demo with more products, from its begin until all have arrived."""
    with tempfile.TemporaryDirectory(prefix="refsys-bench-") as folder:
        # Other names in each run: what was published once is not published again.
        generate(Path(folder), FILES, 10 + int(time.time()) // 60 % (LAST_SEED - 9), size=1000)
        before, started = environment.looked(), time.monotonic()
        command = [str(paths.CHECKOUT / "refsys"), "demo", environment.name, "--samples", folder]
        subprocess.run(command, cwd=paths.CHECKOUT, check=True, stdout=subprocess.DEVNULL)
        time.sleep(SETTLE_SECONDS)
    return costs(before, environment.looked(), environment.share_of_logs(time.monotonic() - started))


def main() -> int:
    """Measure and print; the exit code says whether the targets were met."""
    environment, console = Environment(sys.argv[1] if len(sys.argv) > 1 else "local"), Console()
    states = {"at rest": at_rest(environment), "in a demo": in_a_demo(environment)}
    processors = os.cpu_count() or 1
    rows: dict[str, dict[str, Cost]] = defaultdict(dict)
    for state, found in states.items():
        for name, cost in found.items():
            rows["Kafka's share of logs" if name.startswith("Kafka") else name][state] = cost
    table = Table("process", *(f"CPU {state}" for state in states), *(f"MiB {state}" for state in states))
    nothing = Cost(0, 0)
    for name, by_state in sorted(rows.items(), key=lambda row: -max(cost.cores for cost in row[1].values())):
        cells = [by_state.get(state, nothing) for state in states]
        cpu, memory = (
            [f"{each.cores / processors:.2%}" for each in cells],
            [f"{each.bytes / 2**20:.0f}" for each in cells],
        )
        table.add_row(name, *cpu, *memory)
    cores = {state: sum(cost.cores for cost in found.values()) / processors for state, found in states.items()}
    size = {state: sum(cost.bytes for cost in found.values()) / 2**30 for state, found in states.items()}
    table.add_section()
    table.add_row("all", *(f"{each:.2%}" for each in cores.values()), *(f"{each:.2f} GiB" for each in size.values()))
    table.add_row("wanted", *[f"≤ {CPU_SHARE:.0%}"] * 2, *[f"≤ {GIBIBYTES} GiB"] * 2)
    console.print(table)
    shares = [name for found in states.values() for name in found if name.startswith("Kafka")]
    console.print(f"of {processors} processors; {'; '.join(shares)}")
    return 0 if max(cores.values()) <= CPU_SHARE and max(size.values()) <= GIBIBYTES else 1


if __name__ == "__main__":
    sys.exit(main())
