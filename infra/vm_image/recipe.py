"""What the image is made of, and the digest that stands for it."""

import hashlib
from pathlib import Path

from refsys.infra import paths
from refsys.infra.clouds.local import image as node_image
from refsys.infra.vm_image import partitions

# What a machine has beside a container node: kernel, boot loader, clock, names, and cloud-init for what is its own.
PACKAGES = [
    *node_image.PACKAGES,
    *("linux-image-cloud-amd64", "initramfs-tools", "grub-cloud-amd64", "e2fsprogs", "fdisk", "dosfstools"),
    *("cloud-init", "isc-dhcp-client", "netbase", "systemd-resolved", "systemd-timesyncd", "libpam-systemd"),
    *("apparmor", "apparmor-utils", "unattended-upgrades", "less", "vim-tiny"),
]

# Where user data comes from: a seed disk, an OpenStack or Scaleway server's. Asked in this order; None ends the search.
DATASOURCES = ["NoCloud", "ConfigDrive", "OpenStack", "Scaleway", "None"]

ACCOUNT = "debian"
"""cloud-init's own account, which gets the key of a server's key pair and may use sudo."""

ENABLED = ["systemd-networkd.service", "systemd-networkd-wait-online.service", "systemd-resolved.service"]

# Accounts, keys and the host's identity come with the server. Disks are systemd's: cloud-init would grow the root only.
CLOUD_INIT = f"""\
datasource_list: [{", ".join(DATASOURCES)}]
system_info:
  network: {{renderers: [networkd]}}
locale: false
ssh_pwauth: false
ssh_deletekeys: true
ssh_genkeytypes: [ed25519]
growpart: {{mode: "off"}}
resize_rootfs: false
"""

FILES = {
    "etc/cloud/cloud.cfg.d/90-refsys.cfg": CLOUD_INIT,
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/hostname": "localhost\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "etc/repart.d/90-var.conf": "[Partition]\nType=var\n",
    # What is grown is first the partition.
    "etc/systemd/system/systemd-growfs@.service.d/refsys.conf": "[Unit]\nAfter=systemd-repart.service\n",
    "etc/systemd/networkd.conf.d/foreign.conf": node_image.NETWORKD,
}
"""Settings of the image by their place, beside those of the hardening."""

GRUB_DEFAULTS = {
    "GRUB_TIMEOUT": "1",
    "GRUB_DISTRIBUTOR": "Debian",
    "GRUB_CMDLINE_LINUX_DEFAULT": '"console=tty0 console=ttyS0,115200"',
}
"""Lines of /etc/default/grub; GRUB_CMDLINE_LINUX is the hardening's."""

SOURCES = (
    Path(__file__).parent,
    paths.CHECKOUT / "security" / "roles" / "os_hardening",
    paths.CHECKOUT / "security" / "compliance" / "waivers.yml",
    paths.CHECKOUT / "playbooks" / "harden.yml",
)


def digest() -> str:
    """Identity of all that makes the image, but for the day of its Debian packages."""
    sha = hashlib.sha256("\n".join([node_image.digest(), *PACKAGES]).encode())
    for source in SOURCES:
        for file in sorted(path for path in (source, *source.rglob("*")) if path.is_file()):
            if file.suffix != ".pyc":
                sha.update(str(file.relative_to(paths.CHECKOUT)).encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:12]


def name() -> str:
    """The image's name: another recipe is another image. Nothing is built."""
    return f"refsys-debian-12-{digest()}"


def files(image: str) -> dict[str, str]:
    """All settings of the image of that name."""
    return FILES | {"etc/fstab": partitions.fstab(partitions.placed(image))}
