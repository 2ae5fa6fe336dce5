"""The image of virtual machines: Debian 12, hardened by the distribution, set up by cloud-init."""

from refsys.infra.vm_image.build import VmImage, built_image
from refsys.infra.vm_image.recipe import name

__all__ = ["VmImage", "built_image", "name"]
