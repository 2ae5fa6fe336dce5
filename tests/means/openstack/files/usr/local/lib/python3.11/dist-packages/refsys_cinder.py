"""A driver of volumes without disks."""

from typing import Any

from cinder.tests import fake_driver


class Volumes(fake_driver.FakeLoggingVolumeDriver):
    """Volumes that can also be made of images, and grow."""

    def clone_image(self, *_: Any) -> tuple[dict[str, Any], bool]:
        """Call the image's content copied."""
        return {}, True

    def extend_volume(self, *_: Any) -> None:
        """Call the volume grown."""
