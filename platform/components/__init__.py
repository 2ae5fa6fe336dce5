"""The platform's Pulumi components; `Platform` makes all of them."""

from refsys.platform.components.applications import Hosted
from refsys.platform.components.clamav import Mirror
from refsys.platform.components.context import Certificate, CertificateAuthority, Context, Passwords
from refsys.platform.components.directory import Source
from refsys.platform.components.flows import StationNetwork
from refsys.platform.components.people import Federation, Group, People, Person
from refsys.platform.components.platform import NodeLogins, Platform, PlatformArgs
from refsys.platform.components.volume import NODE_FOLDERS, VOLUME_NAMES, VOLUME_ROOT

__all__ = [
    "NODE_FOLDERS",
    "VOLUME_NAMES",
    "VOLUME_ROOT",
    "Certificate",
    "CertificateAuthority",
    "Context",
    "Federation",
    "Group",
    "Hosted",
    "Mirror",
    "NodeLogins",
    "Passwords",
    "People",
    "Person",
    "Platform",
    "PlatformArgs",
    "Source",
    "StationNetwork",
]
