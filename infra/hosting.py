"""From an application's declaration to the arguments of its component."""

from typing import Any

import pulumi

from refsys.infra.applications import Application
from refsys.platform.components import Context, Platform
from refsys.platform.components.pod import Resources
from refsys.services.components import ApplicationArgs, ApplicationQuota, Chain, ChartOf, Connected, Stored


def application_args(
    declared: Application, found: Connected, context: Context, platform: Platform, chain: Chain
) -> ApplicationArgs:
    """Return the arguments; what it is connected to was `found` before the chain handed the secrets over."""
    backup: dict[str, Any] = {}
    if declared.backup:
        backup = {"backup_schedule": declared.backup.schedule, "backup_days": declared.backup.days}
    return ApplicationArgs(
        context,
        platform,
        found,
        _image(declared, context),
        Resources(**declared.resources.model_dump()),
        after=[chain.secrets, chain.topics, chain.buckets, platform.keycloak.ready],
        health=declared.health,
        args=declared.args,
        env=declared.variables,
        volume=Stored(**declared.volume.model_dump()) if declared.volume else None,
        scratch=declared.scratch,
        start_seconds=declared.start_seconds,
        quota=ApplicationQuota(**declared.quota.model_dump()),
        chart=ChartOf(declared.documents, declared.chart.service) if declared.chart else None,
        **backup,
    )


def _image(declared: Application, context: Context) -> pulumi.Input[str]:
    if declared.chart:
        return context.image("gateway")
    return context.image(declared.image) if declared.of_distribution else declared.image
