"""Which metrics there are, and which a PromQL expression uses."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from refsys.infra import paths
from refsys.monitoring.components import prometheus_config
from refsys.monitoring.components.kube_state_metrics import METRICS as OF_STATE
from refsys.monitoring.components.scraping import scrape_configs

JOBS = {
    *("alertmanager", "apiserver", "blackbox", "cadvisor", "calico", "chain", "clamav", "coredns", "envoy", "etcd"),
    *("kafka", "kafka-lag", "keycloak", "kube-state-metrics", "kubelet", "node", "object-store", "openbao"),
    *("opensearch", "postgresql", "prometheus", "thanos"),
}
# Jobs without a list of what is kept: names as their programs have them.
OTHERS = (
    "up",
    "probe_(success|duration_seconds|http_status_code|ssl_earliest_cert_expiry)",
    "node_(boot_time|time|timex_offset)_seconds",
    "node_cpu_seconds_total",
    "node_disk_(io_time_seconds|read_bytes|written_bytes)_total",
    "node_filesystem_(avail_bytes|files|files_free|size_bytes)",
    "node_load(1|5|15)",
    "node_memory_(MemAvailable|MemTotal)_bytes",
    "node_network_(receive|transmit)_(bytes|drop|errs)_total",
    "node_pressure_(cpu|io|memory)_waiting_seconds_total",
    "node_systemd_unit_state",
    "node_vmstat_oom_kill",
    "(suricata|clamav|apt)_[a-z_]+",  # role node_exporter, services/exporters
    "node_reboot_required",
    "s3_(requests|read_bytes|written_bytes|objects_created|objects_removed)_total",
    "process_(cpu_seconds_total|resident_memory_bytes|start_time_seconds)",
    "prometheus_(config_last_reload_successful|rule_evaluation_failures_total|target_scrapes_.+)",
    "prometheus_notifications_(dropped|errors|sent)_total",
    "prometheus_tsdb_(head_samples_appended_total|head_series|storage_blocks_bytes)",
    "alertmanager_(alerts|notifications_failed_total|notifications_total)",
    "ALERTS",
)
_MADE = re.compile(r"\b(Counter|Gauge|Histogram)(?:MetricFamily)?\(\s*\"([a-z0-9_]+)\"")
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "on", "without", "ignoring", "group_left", "group_right"}
_GROUPS = re.compile(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")


@cache
def rule_files() -> list[tuple[str, dict[str, Any]]]:
    """Area and content of all files of rules."""
    return [(Path(name).stem, yaml.safe_load(text)) for name, text in sorted(prometheus_config.rules().items())]


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Area and rule."""
    for area, content in rule_files():
        for group in content["groups"]:
            for rule in group["rules"]:
                yield area, rule


def used(expression: str) -> set[str]:
    """Names of metrics and recorded series in an expression."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    bare = re.sub(r"\{[^}]*\}", " ", bare)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    bare = _GROUPS.sub(" ", bare)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", bare)
    return {word for word in words if word not in _WORDS}


def jobs(expression: str) -> set[str]:
    """Values of the label `job` that an expression asks for, where it asks for one."""
    return set(re.findall(r'\bjob="([^"]+)"', expression))


@cache
def _patterns() -> list[re.Pattern[str]]:
    kept = [
        rule["regex"]
        for job in scrape_configs()
        for rule in job["metric_relabel_configs"]
        if rule["action"] == "keep" and rule["source_labels"] == ["__name__"]
    ]
    return [re.compile(pattern) for pattern in (*kept, *OF_STATE, *OTHERS)]


@cache
def _of_chain() -> frozenset[str]:
    found = {name: kind for _, kind, name in _made()}
    names: set[str] = set()
    for name, kind in found.items():
        if kind == "Counter":
            names.add(f"{name.removesuffix('_total')}_total")
        elif kind == "Histogram":
            names.update(f"{name}_{part}" for part in ("bucket", "count", "sum"))
        else:
            names.add(name)
    return frozenset(names)


def _made() -> Iterator[tuple[str, str, str]]:
    for file in (paths.CHECKOUT / "services").rglob("*.py"):
        for kind, name in _MADE.findall(file.read_text()):
            yield file.name, kind, name


def unknown(expression: str) -> set[str]:
    """Names that neither a process, an exporter nor a recording rule makes."""
    recorded = {str(rule["record"]) for _, rule in rules() if "record" in rule}
    return {
        name
        for name in used(expression) - recorded - _of_chain()
        if not any(pattern.fullmatch(name) for pattern in _patterns())
    }
