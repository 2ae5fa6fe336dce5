"""The generated table of flows: `python -m refsys.platform.components.flows_reference` writes it."""

from refsys.infra import paths
from refsys.platform.components.flows import (
    Flow,
    Network,
    Outside,
    Peer,
    StationNetwork,
    api_server_flows,
    apps,
    directory_flows,
    history_flows,
    log_flows,
    mirror_flows,
    node_metrics_flows,
    routing_flows,
    station_flows,
    table,
)

FILE = paths.CHECKOUT / "docs" / "reference" / "flows.md"
HEAD = """\
# Flows

Made from `platform/components/flows.py` by `python -m refsys.platform.components.flows_reference`; a test keeps it in
step. Every connection that may be opened is here; the network policies of both ends come from the same table, and
everything else is refused. Who calls others also asks `kube-dns` for names (port 53, UDP and TCP).

| from | to | port |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    somewhere = StationNetwork("", 0)
    of_config = {
        "stations of the config": station_flows([somewhere]),
        "routing networks of the config": routing_flows([somewhere]),
        "directory of the config, in place of the own one": directory_flows(somewhere, None),
        "mirror of virus signatures, if there is one": mirror_flows(somewhere),
    }
    own = [flow for flow in table(Outside()) if not _is_for_names(flow)]
    rows = [_row(flow.source, _told(flow.target), f"{flow.port} {flow.protocol}") for flow in own]
    for name, flows in of_config.items():
        rows += [_row(flow.source, name, "of its address") for flow in flows]
    of_nodes = (*directory_flows(None, "nodes"), *log_flows("nodes"))
    rows += [_named("nodes", flow) for flow in of_nodes if isinstance(flow.source, Network)]
    rows += [_row(flow.source, "nodes", f"{flow.port} {flow.protocol}") for flow in node_metrics_flows("nodes")]
    rows += [
        _row(flow.source, f"{_told(flow.target)}, where metrics are kept for years", f"{flow.port} {flow.protocol}")
        for flow in history_flows(kept=True)
    ]
    rows += [_row(flow.source, "API server", "6443 TCP") for flow in api_server_flows([somewhere])]
    return HEAD + "".join(rows) + f"\n{len(apps(own))} workloads take part.\n"


def _named(source: str, flow: Flow) -> str:
    return f"| {source} | {_told(flow.target)} | {flow.port} {flow.protocol} |\n"


def _is_for_names(flow: Flow) -> bool:
    return _told(flow.target) == "kube-system/kube-dns"


def _row(source: Peer, target: str, port: str) -> str:
    return f"| {_told(source)} | {target} | {port} |\n"


def _told(peer: Peer) -> str:
    return f"anywhere ({peer.cidr})" if isinstance(peer, Network) else f"{peer.namespace}/{peer.name}"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(page())
