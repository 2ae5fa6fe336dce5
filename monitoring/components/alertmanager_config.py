"""Alertmanager's configuration: how alerts are grouped, who is told, and who may ask what of it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from refsys.platform.components.mutual_tls import Access, Guarded
from refsys.platform.components.names import (
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    DETECTOR,
    OPERATIONS,
    PROCESSING,
    PROMETHEUS,
)

DATA_DIRECTORY = "/var/lib/alertmanager"
SERVER_PORT = 9095

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Values of the label `severity`, which are the levels of Sigma's rules; the worst is the last."""
HELD = "held"
PEOPLE = "people"
DEAD_MAN = "dead-man"
WATCHDOG = "Watchdog"
"""The alert of Prometheus that always fires, for the dead-man's switch."""

GROUPED_BY = ("alertname", "host", "node", "namespace")
"""Alerts that agree in these are told together; those of Sigma's rules have a host, those of metrics what they know."""

ACCESS = (
    Access(DETECTOR, ("GET", "POST"), "/api/v2/alerts"),
    Access(PROMETHEUS, ("POST",), "/api/v2/alerts"),
    Access(OPERATIONS, ("GET",), "/api/v2/(alerts|alerts/groups|silences|silence/[0-9a-f-]+|status)"),
    Access(OPERATIONS, ("POST",), "/api/v2/silences"),
    Access(OPERATIONS, ("DELETE",), "/api/v2/silence/[0-9a-f-]+"),
)

GUARDED = Guarded(
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    SERVER_PORT,
    ready="/-/ready",
    live="/-/healthy",
    access=ACCESS,
    metrics="/metrics",
)


@dataclass(frozen=True)
class Cause:
    """An alert that explains others, which are held back while it is there."""

    alert: str
    effects: str
    """Regular expression for the names of the others."""
    equal: tuple[str, ...] = ()
    """Labels that must be the same."""
    namespace: str | None = None
    """Where the others are, if not anywhere."""

    def rule(self) -> dict[str, Any]:
        """Return it as Alertmanager has it."""
        within = [f'namespace="{self.namespace}"'] if self.namespace else []
        return {
            "source_matchers": [f'alertname="{self.alert}"'],
            "target_matchers": [f'alertname=~"{self.effects}"', *within],
            "equal": list(self.equal),
        }


_NOT_AVAILABLE = "(Deployment|StatefulSet)NotAvailable"

CAUSES = (
    Cause("NodeGone", ".+", ("node",)),
    Cause("DiskFull", "DiskFilling|DiskFullSoon", ("node", "device")),
    Cause("DiskFullSoon", "DiskFilling", ("node", "device")),
    # A local volume is a folder of the node's disk.
    Cause("DiskFilling", "VolumeFilling", ("node",)),
    Cause("DiskFullSoon", "VolumeFullSoon", ("node",)),
    Cause("VolumeFull", "VolumeFilling|VolumeFullSoon", ("namespace", "persistentvolumeclaim")),
    Cause("VolumeFullSoon", "VolumeFilling", ("namespace", "persistentvolumeclaim")),
    Cause("PodCrashLooping", "ContainerOutOfMemory", ("namespace", "pod")),
    Cause("PostgresqlDown", f"{_NOT_AVAILABLE}|KeycloakDown|MessagesFailing|StationDown"),
    Cause("KafkaDown", "Kafka.+|Consumer.+|LogRecordsBehind|MessagesFailing"),
    Cause("KafkaDown", _NOT_AVAILABLE, namespace=PROCESSING),
    Cause("ObjectStoreDown", "ObjectStoreErrors|MessagesFailing"),
    Cause("ObjectStoreDown", _NOT_AVAILABLE, namespace=PROCESSING),
    Cause("OpenbaoSealed", "OpenbaoDown|SecretsNotRenewed"),
    Cause("OpenbaoDown", "SecretsNotRenewed"),
    Cause("LogStoreDown", "LogRecordsBehind|DetectorSilent"),
    Cause("StationUnreachable", "StationDown", ("station",)),
    Cause("CertificateEnding", "CertificateNearExpiry", ("station", "target")),
    Cause("ConsumerLagHigh", "ConsumerLagGrowing", ("consumergroup", "topic")),
    Cause("ConsumerStuck", "ConsumerLag.+", ("consumergroup", "topic")),
    Cause("SloMissedInTwoDays", "SloMissed(InFiveDays|InTenDays)?", ("slo",)),
    Cause("SloMissedInFiveDays", "SloMissed(InTenDays)?", ("slo",)),
    Cause("SloMissedInTenDays", "SloMissed", ("slo",)),
)
"""Of the alerts in monitoring/rules. Nothing of the way of alerts itself is ever held back."""


@dataclass(frozen=True)
class Mail:
    """Whom alerts are mailed to, and by which server (`host:port`), with STARTTLS."""

    to: tuple[str, ...]
    sender: str
    server: str
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True)
class Alerting:
    """Who is told of alerts from `from_severity` on. Without anybody all are only held and shown."""

    webhook: str | None = None
    mail: Mail | None = None
    from_severity: Severity = "medium"
    dead_man_webhook: str | None = None
    """Who is told each minute that alerts find their way, and raises the alarm when nothing comes."""


def alertmanager_config(alerting: Alerting) -> dict[str, Any]:
    """Return `alertmanager.yml`.

    Alerts of one rule on one host are told together. The worst are told at once and again each hour, others are
    gathered first and told again after four hours, and those below the wanted severity are held.
    Prometheus' watchdog is told to nobody but the dead-man's switch, each minute.
    """
    told = SEVERITIES[SEVERITIES.index(alerting.from_severity) :]
    people = _people(alerting)
    routes = [
        {
            "matchers": ['severity="critical"'],
            "receiver": PEOPLE,
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "1h",
        },
        {"matchers": [f'severity=~"{"|".join(told)}"'], "receiver": PEOPLE},
    ]
    return {
        "route": {
            "receiver": HELD,
            "group_by": list(GROUPED_BY),
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [_watchdog(alerting), *(routes if people else [])],
        },
        "inhibit_rules": [
            *(cause.rule() for cause in CAUSES),
            *(
                {
                    "source_matchers": [f'severity="{severity}"'],
                    "target_matchers": [f'severity=~"{"|".join(SEVERITIES[:place])}"'],
                    "equal": ["alertname", "host"],
                }
                for place, severity in enumerate(SEVERITIES)
                if place
            ),
        ],
        "receivers": [{"name": HELD}, *([{"name": PEOPLE, **people}] if people else []), *_dead_man(alerting)],
    }


def _watchdog(alerting: Alerting) -> dict[str, Any]:
    return {
        "matchers": [f'alertname="{WATCHDOG}"'],
        "receiver": DEAD_MAN if alerting.dead_man_webhook else HELD,
        "group_wait": "0s",
        "group_interval": "1m",
        # Below the interval: what is not due at one of its ends waits for the next.
        "repeat_interval": "50s",
    }


def _dead_man(alerting: Alerting) -> list[dict[str, Any]]:
    if not alerting.dead_man_webhook:
        return []
    webhook = {"url": alerting.dead_man_webhook, "send_resolved": False}
    return [{"name": DEAD_MAN, "webhook_configs": [webhook]}]


def _people(alerting: Alerting) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if alerting.webhook:
        told["webhook_configs"] = [{"url": alerting.webhook, "send_resolved": True}]
    if mail := alerting.mail:
        login = {"auth_username": mail.username, "auth_password": mail.password} if mail.username else {}
        told["email_configs"] = [
            {"to": ", ".join(mail.to), "from": mail.sender, "smarthost": mail.server, "send_resolved": True, **login}
        ]
    return told
