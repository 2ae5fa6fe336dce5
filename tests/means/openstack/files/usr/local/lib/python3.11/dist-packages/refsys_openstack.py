"""Drivers of a cloud without data path: any port is bound, any volume is there at once."""

from typing import Any

from cinder.tests import fake_driver
from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class BindAll(api.MechanismDriver):
    """Binds every port to the first segment offered, and calls it active."""

    def initialize(self) -> None:
        """Nothing to set up."""

    def bind_port(self, context: Any) -> None:
        """Bind."""
        segment = context.segments_to_bind[0]
        context.set_binding(segment[api.ID], portbindings.VIF_TYPE_BRIDGE, {}, constants.PORT_STATUS_ACTIVE)


class Volumes(fake_driver.FakeLoggingVolumeDriver):
    """Volumes without disks, which can also be made of images and grow."""

    def clone_image(self, *_: Any) -> tuple[dict[str, Any], bool]:
        """Call the image's content copied."""
        return {}, True

    def extend_volume(self, *_: Any) -> None:
        """Call the volume grown."""
