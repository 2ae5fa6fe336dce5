"""What the overview asks Prometheus for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["number", "seconds", "share", "euro"]

COMPLETE = (
    "count by (namespace) ((kube_deployment_status_replicas_available >= kube_deployment_spec_replicas) "
    "or (kube_statefulset_status_replicas_ready >= kube_statefulset_replicas))"
)
WORKLOADS = "count by (namespace) (kube_deployment_spec_replicas or kube_statefulset_replicas)"


@dataclass(frozen=True)
class Figure:
    """A number with its last day; it is bad from `bad` on, or below it if `low` is bad."""

    name: str
    title: str
    expression: str
    unit: Unit = "number"
    bad: float | None = None
    low: bool = False

    def is_bad(self, value: float) -> bool:
        """Whether somebody should look."""
        return self.bad is not None and (value < self.bad if self.low else value >= self.bad)


FIGURES = (
    Figure(
        "ingestionDelay",
        "Ingestion delay, 95\N{NO-BREAK SPACE}%",
        'histogram_quantile(0.95, sum by (le) (rate(refsys_product_step_seconds_bucket{step="ingestion"}[1h])))',
        "seconds",
        bad=600,
    ),
    Figure(
        "published",
        "Published in an hour",
        'sum(increase(refsys_product_step_seconds_count{step="total"}[1h]))',
    ),
    Figure("deadLetters", "Dead letters in a day", "sum(increase(refsys_dead_letters_total[1d])) or vector(0)", bad=1),
    Figure(
        "consumerLag",
        "Messages that wait",
        'sum(consumergroup_topic:kafka_consumergroup_lag:sum{topic!~"logs-.*|traces"})',
        bad=10_000,
    ),
    Figure(
        "certificates",
        "Next certificate ends in",
        'min(probe_ssl_earliest_cert_expiry{job="blackbox"}) - time()',
        "seconds",
        bad=8 * 3600,
        low=True,
    ),
    Figure("cost", "Cost of a day", "sum(environment:cost:eur_per_hour) * 24", "euro"),
)
"""Single numbers."""

BY_NODE = (
    Figure("cpu", "CPU", "node:cpu_busy:ratio_rate5m", "share", bad=0.95),
    Figure("memory", "Memory", "1 - node:memory_available:ratio", "share", bad=0.92),
    Figure("disk", "Disk", "max by (node) (1 - node:disk_available:ratio)", "share", bad=0.85),
)
"""A number a node."""

OBJECTIVES = Figure("objectives", "Error budget left", "1 - slo:burn:3d", "share", bad=0.0, low=True)
"""A number an objective."""

FACTS: Mapping[str, str] = {
    "nodes": 'count(up{job="node"})',
    "nodesUp": 'count(up{job="node"} == 1)',
    "nodesReady": 'sum(max by (node) (kube_node_status_condition{condition="Ready", status="true"}))',
    "nodesKnown": "count(kube_node_info)",
    "diskLeft": "min(node:disk_available:ratio)",
    "memoryLeft": "min(node:memory_available:ratio)",
    "stations": "count(max by (station) (refsys_station_up))",
    "stationsUp": "sum(max by (station) (refsys_station_up))",
    "prip": 'min(probe_success{job="blackbox", target=~"prip[.].*"})',
    "certificateDays": 'min(probe_ssl_earliest_cert_expiry{job="blackbox"} - time()) / 86400',
    "identity": 'min(probe_success{job="blackbox", target=~"auth[.].*"})',
}
"""Single numbers as they are now, of which the lines of health are made."""

BY_LABEL: Mapping[str, tuple[str, str]] = {
    "complete": ("namespace", COMPLETE),
    "workloads": ("namespace", WORKLOADS),
    "costByKind": ("kind", "sum by (kind) (environment:cost:eur_per_hour)"),
    "costByChain": ("mission", "sum by (mission) (chain:cost:eur_per_hour)"),
}
"""Numbers as they are now by a label; costs are EUR an hour."""

SERIES = (*FIGURES, *BY_NODE, OBJECTIVES)
