"""Who is told of alerts, as the environment's config says it."""

from refsys.infra.environment import Alerts
from refsys.infra.stations import network_of
from refsys.monitoring.components import Alerting, Mail
from refsys.platform.components.flows import StationNetwork


def alerting_of(alerts: Alerts) -> Alerting:
    """The same for Alertmanager."""
    mail = alerts.mail
    return Alerting(
        alerts.webhook.get_secret_value() if alerts.webhook else None,
        Mail(
            tuple(mail.to),
            mail.sender,
            mail.server,
            mail.username,
            mail.password.get_secret_value() if mail.password else None,
        )
        if mail
        else None,
        alerts.from_severity,
        alerts.dead_man_webhook.get_secret_value() if alerts.dead_man_webhook else None,
    )


def networks_of_alerts(alerts: Alerts) -> list[StationNetwork]:
    """What Alertmanager may reach outside the cluster."""
    addresses = [each.get_secret_value() for each in (alerts.webhook, alerts.dead_man_webhook) if each]
    addresses += [f"smtp://{alerts.mail.server}"] if alerts.mail else []
    return list(dict.fromkeys(map(network_of, addresses)))
