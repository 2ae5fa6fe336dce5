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

    def get_volume_stats(self, refresh: bool = False) -> dict[str, Any]:
        """There is room without end; the fake disks below have 5 GB."""
        names = {"volume_backend_name": "fake", "vendor_name": "refsys", "driver_version": "1"}
        room = {"total_capacity_gb": "infinite", "free_capacity_gb": "infinite", "reserved_percentage": 0}
        return {**names, "storage_protocol": "fake", **room}
