"""Container images of the distribution, built from pinned packages without a container engine."""

from refsys.platform.images.builder import (
    BuiltImage,
    build,
    cached,
    image_names,
    image_version,
    input_digest,
    optional_image_names,
)
from refsys.platform.images.registry import Repository, opened, push
from refsys.platform.images.signature import sign, verify

__all__ = [
    "BuiltImage",
    "Repository",
    "build",
    "cached",
    "image_names",
    "image_version",
    "input_digest",
    "opened",
    "optional_image_names",
    "push",
    "sign",
    "verify",
]
