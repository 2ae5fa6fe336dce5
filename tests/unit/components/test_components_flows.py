"""Network policies: everything denied, both ends of each flow open, nothing else."""

from typing import Any

from tests.unit.components.mocked_stack import Made

from refsys.platform.components import flows_reference
from refsys.platform.components.flows import FLOWS, SCRAPED, Flow, Network, Outside, StationNetwork, table
from refsys.platform.components.names import (
    ALERTMANAGER,
    ALERTMANAGER_CHECK,
    API_CLIENTS,
    BLACKBOX,
    CALICO_CONTROLLERS,
    COREDNS,
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    KEYCLOAK,
    KEYCLOAK_REALM,
    NAMESPACES,
    OPENLDAP,
    PROMETHEUS_CHECK,
    ROUTER,
    SYSTEM,
    SYSTEM_NAMESPACES,
    App,
)

STATION = Network("10.0.0.1/32")
REMOTE = Network("10.0.0.2/32")
API_SERVER = Network("10.0.0.3/32")
NODES = Network("10.0.0.0/24")
OUTSIDE = Outside(
    stations=[StationNetwork(STATION.cidr, 8443)],
    routing=[StationNetwork(REMOTE.cidr, 443)],
    api_servers=[StationNetwork(API_SERVER.cidr, 6443)],
    nodes=NODES.cidr,
    alerts=[StationNetwork("10.0.0.4/32", 443)],
)


def policies(made: list[Made]) -> dict[App, dict[str, Any]]:
    return {
        App(str(item.namespace), item.name): item.inputs["spec"]
        for item in made
        if item.kind == "NetworkPolicy" and item.name != "default-deny"
    }


def peer(rule: dict[str, Any]) -> App | Network:
    if "ipBlock" in rule:
        return Network(rule["ipBlock"]["cidr"])
    namespace = rule["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    labels = rule["podSelector"]["matchLabels"]
    return App(namespace, labels.get("app.kubernetes.io/name") or labels["k8s-app"])


def opened(made: list[Made], direction: str, end: str) -> set[Flow]:
    flows = set()
    for app, spec in policies(made).items():
        for rule in spec.get(direction, []):
            (other,) = map(peer, rule[end])
            for port in rule["ports"]:
                source, target = (other, app) if direction == "ingress" else (app, other)
                flows.add(Flow(source, target, int(port["port"]), protocol=port["protocol"]))
    return flows


def test_every_namespace_denies_by_default(made: list[Made]) -> None:
    denied = {
        item.namespace: item.inputs["spec"]
        for item in made
        if item.kind == "NetworkPolicy" and item.name == "default-deny"
    }
    assert set(denied) == {*NAMESPACES, *SYSTEM_NAMESPACES}
    assert all(spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for spec in denied.values())


def test_policies_open_the_table_and_nothing_else(made: list[Made]) -> None:
    wanted = set(table(OUTSIDE))
    into_pods = {flow for flow in wanted if isinstance(flow.target, App)}
    out_of_pods = {flow for flow in wanted if isinstance(flow.source, App)}
    assert opened(made, "ingress", "from") == into_pods
    assert opened(made, "egress", "to") == out_of_pods


def test_only_who_calls_others_asks_for_names(made: list[Made]) -> None:
    asking = {flow.source for flow in opened(made, "egress", "to") if flow.target == COREDNS}
    callers = {flow.source for flow in FLOWS if isinstance(flow.source, App)} | {ALERTMANAGER}
    assert asking == callers - {COREDNS}


def test_only_what_comes_with_the_nodes_and_has_a_token_reaches_the_api_server(made: list[Made]) -> None:
    reaching = {flow.source for flow in opened(made, "egress", "to") if flow.target == API_SERVER}
    assert reaching == {COREDNS, CALICO_CONTROLLERS, *API_CLIENTS}


def test_the_account_that_pods_have_by_default_gets_no_token(made: list[Made]) -> None:
    accounts = [item for item in made if item.kind == "ServiceAccount" and item.name == "default"]
    assert {item.namespace for item in accounts} == {*NAMESPACES, *SYSTEM_NAMESPACES}
    assert all(item.inputs["automountServiceAccountToken"] is False for item in accounts)


def test_stations_are_open_to_ingestion_and_probes_alone(made: list[Made]) -> None:
    reaching = {flow.source for flow in opened(made, "egress", "to") if flow.target == STATION}
    assert reaching == {INGESTION_TRIGGER, INGESTION_WORKER, BLACKBOX}


def test_remotes_are_open_to_the_router_alone(made: list[Made]) -> None:
    reaching = {flow.source for flow in opened(made, "egress", "to") if flow.target == REMOTE}
    assert reaching == {ROUTER}


def test_only_who_knows_users_reaches_the_directory(made: list[Made]) -> None:
    reaching = {flow.source for flow in opened(made, "ingress", "from") if flow.target == OPENLDAP}
    assert reaching == {KEYCLOAK, KEYCLOAK_REALM, NODES}


def test_a_directory_outside_takes_the_place_of_the_own_one() -> None:
    flows = table(Outside(nodes=NODES.cidr, directory=StationNetwork("10.9.0.1/32", 636)))
    assert Flow(KEYCLOAK, Network("10.9.0.1/32"), 636) in flows
    assert OPENLDAP not in {flow.target for flow in flows}


def test_prometheus_reaches_the_metrics_of_every_pod(made: list[Made]) -> None:
    declared = {
        (App(str(item.namespace), item.template["metadata"]["labels"]["app.kubernetes.io/name"]), port["containerPort"])
        for item in made
        for container in (item.pod or {}).get("containers", [])
        for port in container.get("ports", [])
        if port["name"].startswith("metrics")
    }
    assert declared == {(app, port) for app, port in SCRAPED if app.namespace != SYSTEM}


def test_every_pod_has_a_policy(made: list[Made]) -> None:
    labelled = {
        App(str(item.namespace), item.template["metadata"]["labels"]["app.kubernetes.io/name"])
        for item in made
        if item.pod is not None
    }
    # What talks to nobody is held by the policy that denies everything.
    assert labelled - {PROMETHEUS_CHECK, ALERTMANAGER_CHECK} == set(policies(made)) - {COREDNS, CALICO_CONTROLLERS}


def test_the_reference_is_in_step() -> None:
    written = flows_reference.FILE.read_text()
    assert written == flows_reference.page(), "run: python -m refsys.platform.components.flows_reference"
