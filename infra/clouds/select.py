"""Which module serves which cloud."""

from collections.abc import Mapping

from refsys.infra.clouds.interface import Cloud
from refsys.infra.clouds.local.cloud import LocalCloud
from refsys.infra.environment import CloudName, Environment

CLOUDS: Mapping[CloudName, type[Cloud]] = {"local": LocalCloud}


def cloud_of(environment: Environment) -> Cloud:
    """The cloud that the environment's config names."""
    return CLOUDS[environment.cloud](environment)
