"""The table of flows in a running environment: each flow connects, everything else is refused, at both ends."""

import time

import pytest
from kubernetes import client

from refsys.platform.components.flows import ANYWHERE, Flow, Network, Outside, StationNetwork, apps, table
from refsys.platform.components.names import API_SERVER_PORT, App
from tests.local.probes import Probes, image, pod

pytestmark = pytest.mark.timeout(900)

OPEN = "flows-open"
OPEN_PORT = 8080
# Connects to what must be reached until it is (a policy takes a moment to reach a new pod), then tries the rest once.
TRY = """
import concurrent.futures, json, os, socket, time

plan = json.loads(os.environ["PLAN"])
deadline = time.monotonic() + 25

def connects(address, port):
    try:
        socket.create_connection((address, port), timeout=3).close()
    except OSError:
        return False
    return True

def reached(target):
    while not connects(*target):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True

with concurrent.futures.ThreadPoolExecutor(32) as pool:
    allowed = dict(zip(plan["allowed"], pool.map(reached, plan["allowed"].values())))
    time.sleep(3)
    denied = dict(zip(plan["denied"], pool.map(lambda target: connects(*target), plan["denied"].values())))
open(os.environ["RESULT"], "w").write(json.dumps([name for name, ok in (allowed | denied).items() if ok]))
"""
LISTEN = """
import os, socket, time

server = socket.create_server(("", 8080))
server.settimeout(1)
end = time.monotonic() + 600
while time.monotonic() < end:
    try:
        server.accept()[0].close()
    except TimeoutError:
        pass
"""

Targets = dict[str, tuple[str, int]]


def _label(app: App, port: int) -> str:
    return f"{app.label}:{port}"


def _addresses(cluster: client.ApiClient, flows: tuple[Flow, ...]) -> Targets:
    """Where the pods are that flows lead to."""
    core, found = client.CoreV1Api(cluster), {}
    for app, port in sorted({(flow.target, flow.port) for flow in flows if isinstance(flow.target, App)}):
        ((key, value),) = app.selector.items()
        pods = core.list_namespaced_pod(app.namespace, label_selector=f"{key}={value},!refsys-probe").items
        ready = [one for one in pods if any(c.type == "Ready" and c.status == "True" for c in one.status.conditions)]
        assert ready, f"no pod of {app} is ready"
        found[_label(app, port)] = (ready[0].status.pod_ip, port)
    return found


def _expected(flows: tuple[Flow, ...], source: App) -> set[str]:
    """What `source` must reach: pods by TCP, and the API server."""
    wanted = {flow for flow in flows if flow.source == source and flow.protocol == "TCP"}
    pods = {_label(flow.target, flow.port) for flow in wanted if isinstance(flow.target, App)}
    servers = {"api-server" for flow in wanted if isinstance(flow.target, Network) and flow.port == API_SERVER_PORT}
    return pods | servers


def _plan(targets: Targets, expected: set[str]) -> dict[str, Targets]:
    return {
        "allowed": {name: target for name, target in targets.items() if name in expected},
        "denied": {name: target for name, target in targets.items() if name not in expected},
    }


def test_each_flow_connects_and_everything_else_is_refused_at_both_ends(cluster: client.ApiClient) -> None:
    started = time.monotonic()
    nodes = client.CoreV1Api(cluster).list_node(label_selector="node-role.kubernetes.io/control-plane").items
    server = next(one.address for one in nodes[0].status.addresses if one.type == "InternalIP")
    flows = table(Outside(api_servers=[StationNetwork(f"{server}/32", API_SERVER_PORT)]))
    targets = {**_addresses(cluster, flows), "api-server": (server, API_SERVER_PORT)}
    hosts = _hosts(cluster, flows)
    picture = image(cluster)
    expected = {f"{app.namespace}/{app.name}": _expected(flows, app) for app in apps(flows)}
    with Probes(cluster) as probes:
        # Nothing holds back what this namespace's pods send or get: whoever stops it is the other end.
        probes.namespace(OPEN)
        probes.start(OPEN, pod("listen", picture, LISTEN))
        listening = {"listen": (probes.address(OPEN, "listen"), OPEN_PORT)}
        for app in apps(flows):
            # Real callers use names, and so does the probe: with them it shows that names are found.
            named = {name: (hosts.get(name, address), port) for name, (address, port) in targets.items()}
            plan = _plan(targets | listening, expected[f"{app.namespace}/{app.name}"])
            plan["allowed"] = {name: named[name] for name in plan["allowed"]}
            probes.start(app.namespace, pod(app.name, picture, TRY, plan=plan, labels=app.selector))
        public = [flow for flow in flows if flow.source == ANYWHERE]
        entries = {_label(flow.target, flow.port) for flow in public if isinstance(flow.target, App)}
        expected[f"{OPEN}/stranger"] = {"listen", "api-server"} | entries
        plan = _plan(targets | listening, expected[f"{OPEN}/stranger"])
        probes.start(OPEN, pod("stranger", picture, TRY, plan=plan))
        probes.wait(but="listen", seconds=180)
        client.CoreV1Api(cluster).delete_namespaced_pod("probe-listen", OPEN, grace_period_seconds=0)
        seen = {name: set(reached) for name, reached in probes.results().items()}
    wrong = {
        name: {"not reached": sorted(expected[name] - seen[name]), "not refused": sorted(seen[name] - expected[name])}
        for name in expected
        if expected[name] != seen[name]
    }
    assert wrong == {}
    print(f"{sum(map(len, expected.values()))} connections made, {len(expected) * (len(targets) + 1)} tried, ")  # noqa: T201
    print(f"{time.monotonic() - started:.0f} s")  # noqa: T201 - pytest -s shows it


def _hosts(cluster: client.ApiClient, flows: tuple[Flow, ...]) -> dict[str, str]:
    """The names of targets that a Service leads to; pods that are scraped are found by address."""
    services = client.CoreV1Api(cluster).list_service_for_all_namespaces().items
    served = {(one.metadata.namespace, one.metadata.name, port.port) for one in services for port in one.spec.ports}
    return {
        _label(flow.target, flow.port): flow.target.host
        for flow in flows
        if isinstance(flow.target, App) and (flow.target.namespace, flow.target.name, flow.port) in served
    }
