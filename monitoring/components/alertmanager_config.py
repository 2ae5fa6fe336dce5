"""Alertmanager's configuration: how alerts are grouped, who is told, and who may ask what of it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from refsys.platform.components.mutual_tls import Access, Guarded
from refsys.platform.components.names import ALERTMANAGER, ALERTMANAGER_PORT, DETECTOR, OPERATIONS, PROMETHEUS

DATA_DIRECTORY = "/var/lib/alertmanager"
SERVER_PORT = 9095

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Values of the label `severity`, which are the levels of Sigma's rules; the worst is the last."""
HELD = "held"
PEOPLE = "people"

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


def alertmanager_config(alerting: Alerting) -> dict[str, Any]:
    """Return `alertmanager.yml`.

    Alerts of one rule on one host are told together. The worst are told at once and again each hour, others are
    gathered first and told again after four hours, and those below the wanted severity are held.
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
            "group_by": ["alertname", "host"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": routes if people else [],
        },
        "inhibit_rules": [
            {
                "source_matchers": [f'severity="{severity}"'],
                "target_matchers": [f'severity=~"{"|".join(SEVERITIES[:place])}"'],
                "equal": ["alertname", "host"],
            }
            for place, severity in enumerate(SEVERITIES)
            if place
        ],
        "receivers": [{"name": HELD}, *([{"name": PEOPLE, **people}] if people else [])],
    }


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
