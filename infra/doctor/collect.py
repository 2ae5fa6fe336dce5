"""What is collected, section by section; each stands alone, and fails alone."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from refsys.infra import paths, shell
from refsys.infra.cli import endpoints as endpoint_files
from refsys.infra.doctor import known
from refsys.infra.environment import config_file
from refsys.infra.errors import UserError
from refsys.infra.health import chain, security
from refsys.infra.health.api_server import ApiServer, SilentError
from refsys.infra.health.pods import is_ready
from refsys.infra.operators import Operators
from refsys.infra.playbook import hosts, login
from refsys.infra.toolchain import installed, load_lock
from refsys.infra.toolchain.install import tool_folder

TAIL_BYTES = 2**20
COMMAND_SECONDS = 30
POD_LINES, UNREADY_LINES = 100, 400
ON_MACHINE = {
    "system": "uname -a; cat /etc/os-release; uptime; cat /proc/pressure/* 2>/dev/null",
    "disk": "df -h -x tmpfs -x overlay; df -i -x tmpfs -x overlay",
    "memory": "free -m; ps -eo pid,rss,pcpu,etime,comm --sort=-rss | head -30",
    "network": "ip -br address; ip route; ss -ltn",
    "kernel": "dmesg --ctime 2>/dev/null | tail -200",
}
ON_NODE = {
    "system": "uname -a; uptime; cat /proc/pressure/* 2>/dev/null",
    "disk": "df -h -x tmpfs -x overlay; df -i -x tmpfs -x overlay",
    "memory": "free -m; ps -eo pid,rss,pcpu,etime,comm --sort=-rss | head -30",
    "units": "systemctl --failed --no-pager --plain; systemctl list-timers --no-pager",
    "containers": "crictl ps -a 2>/dev/null | tail -150",
    "errors": "journalctl -p err -n 400 --no-pager -o short-iso",
    "kubelet": "journalctl -u kubelet -n 200 --no-pager -o short-iso",
}
KINDS = "nodes,pods,deployments,statefulsets,daemonsets,jobs,cronjobs,services,endpointslices,persistentvolumeclaims"
METRICS = {
    "consumer-lag": "sum by (consumergroup, topic) (kafka_consumergroup_lag)",
    "stations": "refsys_station_up",
    "targets": "up",
    "firing": 'ALERTS{alertstate="firing"}',
}

Add = Callable[[str, str], None]
Section = Callable[[str, Add], None]


def versions(environment: str, add: Add) -> None:
    """Checkout, programs and packages."""
    checkout = paths.CHECKOUT
    add("versions/checkout.txt", _command("git", "-C", checkout, "log", "-3", "--format=%H %cI %s"))
    add("versions/changes.txt", _command("git", "-C", checkout, "status", "--short", "--branch"))
    tools = {name: {"version": tool.version, "built": installed(tool)} for name, tool in load_lock().items()}
    add("versions/tools.json", as_json(tools))
    packages = sorted(f"{each.name}=={each.version}" for each in metadata.distributions())
    add("versions/python.txt", "\n".join([sys.version, platform.platform(), *packages]))


def machine(environment: str, add: Add) -> None:
    """This machine."""
    for name, script in ON_MACHINE.items():
        add(f"machine/{name}.txt", _command("sh", "-c", script))


def config(environment: str, add: Add) -> None:
    """What the operator configured, and what the stack made of it; no secrets."""
    home = paths.environment_home(environment)
    for file in (config_file(environment), home / "endpoints.json", home / "inventory.yml", home / "known_hosts"):
        if file.exists():
            add(f"config/{file.name}", file.read_text(errors="replace"))


def engine(deployment: Mapping[str, Any]) -> Section:
    """The engine's state: outputs that are no secrets, resources by name, and what is under way."""

    def section(environment: str, add: Add) -> None:
        add("stack/outputs.json", as_json(known.open_outputs(dict(deployment))))
        add("stack/resources.json", as_json(known.resources(dict(deployment))))

    return section


def logs(environment: str, add: Add) -> None:
    """The ends of the commands' and the engine's logs, and of the nodes' consoles."""
    home = paths.environment_home(environment)
    consoles = {f"logs/console-{file.parent.name}.log": file for file in home.glob("nodes/*/console.log")}
    own = {f"logs/{file.name}": file for file in home.glob("logs/*.log")}
    for name, file in ({"logs/refsys.log": paths.home() / "logs" / "refsys.log"} | own | consoles).items():
        if file.exists():
            add(name, _tail(file))


def nodes(environment: str, add: Add) -> None:
    """The nodes by SSH: disk, memory, failed units, errors in the journal."""
    inventory = json.loads((paths.environment_home(environment) / "inventory.yml").read_text())
    found = hosts(inventory)
    script = "\n".join(f"echo '## {name}'; {command}" for name, command in ON_NODE.items())
    with ThreadPoolExecutor(max(1, len(found))) as pool:
        told = pool.map(lambda variables: _on_node(variables, script), found.values())
        for name, text in zip(found, told, strict=True):
            add(f"nodes/{name}.txt", text)


def cluster(environment: str, add: Add) -> None:
    """Objects, events, and what is not ready, as kubectl shows them."""
    kubeconfig = endpoint_files.read(environment)["kubeconfig"]
    with ApiServer(Path(kubeconfig)) as server:
        snapshot = server.snapshot()  # where it doesn't answer, kubectl need not wait
    tool = load_lock()["kubernetes"]
    if not installed(tool):
        add("cluster/pods.json", as_json([_brief(pod) for pod in snapshot.pods]))
        add("cluster/events.json", as_json(snapshot.events))
        return
    kubectl = (tool_folder(tool) / "bin" / "kubectl", f"--kubeconfig={kubeconfig}", "--request-timeout=15s")
    add("cluster/version.txt", _command(*kubectl, "version"))
    add("cluster/objects.txt", _command(*kubectl, "get", KINDS, "--all-namespaces", "--output=wide"))
    add("cluster/events.txt", _command(*kubectl, "get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"))
    add("cluster/nodes.txt", _command(*kubectl, "describe", "nodes"))
    add("cluster/policies.txt", _command(*kubectl, "get", "networkpolicies", "--all-namespaces"))
    for pod in snapshot.pods:
        if not is_ready(pod):
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            text = _command(*kubectl, "--namespace", namespace, "describe", "pod", name)
            add(f"cluster/not-ready/{namespace}-{name}.txt", text)


def pods(environment: str, add: Add) -> None:
    """The ends of all containers' logs; of those that ended also the ones before."""
    with ApiServer(Path(endpoint_files.read(environment)["kubeconfig"])) as server:
        wanted = [each for pod in server.snapshot().pods for each in _containers(pod)]

        def fetch(each: tuple[str, str, str, int, bool]) -> str:
            namespace, pod, container, lines, previous = each
            return server.log(namespace, pod, container, lines=lines, previous=previous)

        with ThreadPoolExecutor(4) as pool:
            for (namespace, pod, container, _, previous), text in zip(wanted, pool.map(fetch, wanted), strict=True):
                if text:
                    add(f"pods/{namespace}/{pod}.{container}{'.previous' if previous else ''}.log", text)


def operations(environment: str, add: Add) -> None:
    """What operators see: alerts of the last day, figures of the chain, errors in the logs, lag of consumers."""
    day = security.DAY
    since = (datetime.now(UTC) - day).isoformat(timespec="seconds")
    questions: dict[str, tuple[str, dict[str, object]]] = {
        "alerts": ("/operations/v1/alerts", {"since": since, "size": 200}),
        "chain": (chain.PATH, {}),
        "errors": ("/operations/v1/logs", {"since": since, "severity": "err", "size": 1000}),
        **{name: ("/operations/v1/metrics/query", {"query": query}) for name, query in METRICS.items()},
    }
    with Operators(endpoint_files.read(environment), log_in=False) as operators:
        for name, (path, query) in questions.items():
            try:
                add(f"operations/{name}.json", as_json(operators.get(path, **query)))
            except UserError as error:
                add(f"operations/{name}.txt", str(error))


def sections(deployment: Mapping[str, Any]) -> Iterator[tuple[str, Section]]:
    """All sections, the cheap ones and those that always work first."""
    yield "versions", versions
    yield "config", config
    yield "state of the stack", engine(deployment)
    yield "logs of commands and engine", logs
    yield "this machine", machine
    yield "nodes", nodes
    yield "cluster", cluster
    yield "logs of pods", pods
    yield "alerts and figures", operations


ERRORS = (OSError, ValueError, KeyError, UserError, SilentError, shell.CommandError, subprocess.TimeoutExpired)
"""How a section may fail for what it looks at is not there."""


def _command(*command: str | Path) -> str:
    """What a program prints, be it an error."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=COMMAND_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}\n"
    ended = f"\n(ended with {done.returncode})\n" if done.returncode else ""
    return done.stdout.decode(errors="replace") + ended


def _on_node(variables: Mapping[str, Any], script: str) -> str:
    return _command(*login(variables, "-o", "BatchMode=yes", "-o", "ConnectTimeout=4"), script)


def _containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, str, int, bool]]:
    lines = POD_LINES if is_ready(pod) else UNREADY_LINES
    status = pod["status"]
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        for previous in (False, True) if each.get("restartCount") else (False,):
            yield pod["metadata"]["namespace"], pod["metadata"]["name"], each["name"], lines, previous


def _brief(pod: Mapping[str, Any]) -> dict[str, Any]:
    return {"namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"], "status": pod["status"]}


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
        return stream.read().decode(errors="replace")


def as_json(document: object) -> str:
    """A document as text."""
    return json.dumps(document, indent=1, sort_keys=True, default=str) + "\n"
