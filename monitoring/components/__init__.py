"""The monitoring's Pulumi components."""

from refsys.monitoring.components.alertmanager import Alertmanager, AlertmanagerArgs
from refsys.monitoring.components.alertmanager_config import Alerting, Mail
from refsys.monitoring.components.blackbox import Blackbox, BlackboxArgs
from refsys.monitoring.components.blackbox_config import ProbedStation, targets
from refsys.monitoring.components.kube_state_metrics import KubeStateMetrics, KubeStateMetricsArgs
from refsys.monitoring.components.log_store import LogStore, LogStoreArgs
from refsys.monitoring.components.metrics_history import MetricsHistory, MetricsHistoryArgs
from refsys.monitoring.components.prices import Prices
from refsys.monitoring.components.prometheus import Prometheus, PrometheusArgs

__all__ = [
    "Alerting",
    "Alertmanager",
    "AlertmanagerArgs",
    "Blackbox",
    "BlackboxArgs",
    "KubeStateMetrics",
    "KubeStateMetricsArgs",
    "LogStore",
    "LogStoreArgs",
    "Mail",
    "MetricsHistory",
    "MetricsHistoryArgs",
    "Prices",
    "ProbedStation",
    "Prometheus",
    "PrometheusArgs",
    "targets",
]
