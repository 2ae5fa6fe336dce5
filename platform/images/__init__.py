"""Container images of the distribution, built from pinned packages without a container engine."""

from refsys.platform.images.builder import BuiltImage, build, image_names, image_version, input_digest
from refsys.platform.images.registry import push

__all__ = ["BuiltImage", "build", "image_names", "image_version", "input_digest", "push"]
