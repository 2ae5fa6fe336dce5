"""Which module serves which cloud."""

from collections.abc import Mapping
from importlib import import_module

from refsys.infra.clouds.interface import Cloud
from refsys.infra.environment import CloudName, Environment

CLOUDS: Mapping[CloudName, str] = {
    "local": "refsys.infra.clouds.local.cloud:LocalCloud",
    "existing": "refsys.infra.clouds.existing.cloud:ExistingCloud",
    "openstack": "refsys.infra.clouds.openstack.cloud:OpenStackCloud",
}
"""Class of each cloud; only that of the chosen one is loaded, for the vendors' packages are large."""


def cloud_of(environment: Environment) -> Cloud:
    """The cloud that the environment's config names."""
    module, _, name = CLOUDS[environment.cloud].partition(":")
    found: type[Cloud] = getattr(import_module(module), name)
    return found(environment)
