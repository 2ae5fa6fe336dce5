"""The monitoring's Pulumi components."""

from refsys.monitoring.components.alertmanager import Alertmanager, AlertmanagerArgs
from refsys.monitoring.components.alertmanager_config import Alerting, Mail
from refsys.monitoring.components.log_store import LogStore, LogStoreArgs
from refsys.monitoring.components.prometheus import Prometheus, PrometheusArgs

__all__ = [
    "Alerting",
    "Alertmanager",
    "AlertmanagerArgs",
    "LogStore",
    "LogStoreArgs",
    "Mail",
    "Prometheus",
    "PrometheusArgs",
]
