"""The disk of a virtual machine: its partitions, as the CIS Benchmark asks for them, and where they are mounted."""

import uuid
from dataclasses import dataclass

MIB = 2**20
SECTOR = 512
DISK_GIB = 16
"""Size of the image; a flavour's disk must not be smaller. What it has more goes to the last partition."""

DISK_BYTES = DISK_GIB * 2**30

BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
VAR = "4D21B016-B534-45C2-A9FB-5C16E091FD2D"
"""Types of the UEFI and Discoverable Partitions specifications; that of /var is how systemd-repart finds it."""

DATA = "nodev,nosuid,noexec"


@dataclass(frozen=True)
class Partition:
    """One partition; without a path it is mounted nowhere."""

    name: str
    mib: int
    path: str = ""
    options: str = ""
    kind: str = LINUX
    mode: int = 0o755
    """Permissions of its root folder."""
    passes: int = 2
    """When it is checked at boot (fstab(5))."""

    @property
    def is_fat(self) -> bool:
        """Whether firmware reads it, which knows FAT alone."""
        return self.kind == EFI_SYSTEM


# /tmp is a file system in memory, which the benchmark takes too: the hardening mounts it. /var is the last one, for it
# is where a node's containers, images and volumes are; programs of containers run from there, so it has no noexec.
LAYOUT = (
    Partition("bios", 1, kind=BIOS_BOOT),
    Partition("efi", 127, "/boot/efi", f"umask=0077,{DATA},nofail", kind=EFI_SYSTEM, passes=0),
    Partition("boot", 512, "/boot", DATA, mode=0o700),
    Partition("home", 512, "/home", DATA),
    Partition("var-tmp", 1024, "/var/tmp", DATA, mode=0o1777),  # noqa: S108 - a mount
    Partition("var-log", 2048, "/var/log", DATA),
    Partition("var-log-audit", 1024, "/var/log/audit", DATA, mode=0o750),
    Partition("root", 5120, "/", "errors=remount-ro", passes=1),
    Partition("var", 6014, "/var", "nodev,nosuid,x-systemd.growfs", kind=VAR),
)


@dataclass(frozen=True)
class Placed:
    """A partition in its place; `start` and `size` in bytes, `number` counts from 1."""

    partition: Partition
    number: int
    start: int
    size: int
    identity: uuid.UUID

    @property
    def file_system_id(self) -> str:
        """UUID of the file system; that of FAT has 32 bits."""
        if not self.partition.is_fat:
            return str(self.identity)
        text = self.identity.hex[:8].upper()
        return f"{text[:4]}-{text[4:]}"


def placed(image: str) -> list[Placed]:
    """The layout's partitions in their places on the disk of the image of that name, which gives them their UUIDs."""
    found, start = [], MIB
    for number, partition in enumerate(LAYOUT, 1):
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{image} {partition.name}")
        found.append(Placed(partition, number, start, partition.mib * MIB, identity))
        start += partition.mib * MIB
    return found


def of_path(parts: list[Placed], path: str) -> Placed:
    """The partition that is mounted there."""
    return next(part for part in parts if part.partition.path == path)


def table(image: str, parts: list[Placed]) -> str:
    """The partition table, as sfdisk reads it."""
    lines = ["label: gpt", f"label-id: {uuid.uuid5(uuid.NAMESPACE_URL, image)}", "unit: sectors", ""]
    for part in parts:
        partition = part.partition
        lines.append(
            f"start={part.start // SECTOR}, size={part.size // SECTOR}, type={partition.kind}, "
            f"uuid={part.identity}, name={partition.name}"
        )
    return "\n".join(lines) + "\n"


def fstab(parts: list[Placed]) -> str:
    """The mounts, outer ones first."""
    lines = ["# Partitions of the image; further mounts are those of the hardening."]
    for part in sorted(parts, key=lambda part: part.partition.path):
        partition = part.partition
        if partition.path:
            kind = "vfat" if partition.is_fat else "ext4"
            options = f"{partition.options} 0 {partition.passes}"
            lines.append(f"UUID={part.file_system_id} {partition.path} {kind} {options}")
    return "\n".join(lines) + "\n"
