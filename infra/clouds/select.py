"""Which module serves which cloud."""

from collections.abc import Mapping
from importlib import import_module

from refsys.infra.clouds.interface import Cloud
from refsys.infra.environment import CloudName, Environment

CLOUDS: Mapping[CloudName, str] = {
    "local": "LocalCloud",
    "existing": "ExistingCloud",
    "openstack": "OpenStackCloud",
    "scaleway": "ScalewayCloud",
}
"""Class of each cloud, in its module `cloud`. Only the one in use is imported: vendors' packages are large."""


def cloud_of(environment: Environment) -> Cloud:
    """The cloud that the environment's config names."""
    module = import_module(f"refsys.infra.clouds.{environment.cloud}.cloud")
    made: Cloud = getattr(module, CLOUDS[environment.cloud])(environment)
    return made
