"""The raw disk: partition table, file systems filled from the tree, boot loader. Nothing is mounted, no loop device."""

import os
import re
import tempfile
from pathlib import Path

from refsys.infra import shell
from refsys.infra.vm_image import bootloader, system
from refsys.infra.vm_image.partitions import BIOS_BOOT, DISK_BYTES, SECTOR, Placed, placed, table
from refsys.platform.images.store import EPOCH

# GRUB of Debian 12 reads no file systems with these.
EXT4 = "^metadata_csum_seed,^orphan_file"
FIRST_INODE = 11
"""Those before it are the file system's own."""
STABLE = os.environ | {"E2FSPROGS_FAKE_TIME": str(EPOCH), "SOURCE_DATE_EPOCH": str(EPOCH), "TZ": "UTC"}


def write(root: Path, image: str, disk: Path) -> None:
    """Make the disk of the image of that name from the tree `root`, which is taken apart by it."""
    parts = placed(image)
    bootloader.write_menu(root, parts)
    code, core = bootloader.make_core(root, parts)
    efi = bootloader.efi_files(root, parts)
    system.settle_times(root)
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    shell.run("sfdisk", "--quiet", disk, input_text=table(image, parts))
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        # The inner ones first: each leaves an empty folder where it will be mounted.
        for part in sorted(parts, key=lambda part: part.partition.path, reverse=True):
            if part.partition.is_fat:
                _write_fat(disk, part, efi, Path(folder))
            elif part.partition.path:
                _write_ext4(disk, part, _taken(root, part, Path(folder)))
    with disk.open("r+b") as file:
        file.write(code)
        file.seek(next(part.start for part in parts if part.partition.kind == BIOS_BOOT))
        file.write(core)


def _taken(root: Path, part: Placed, folder: Path) -> Path:
    """The part of the tree that the partition holds, moved away from it."""
    if part.partition.path == "/":
        return root
    source, target = root / part.partition.path.lstrip("/"), folder / part.partition.name
    source.rename(target)
    source.mkdir(mode=0o755)
    for entry in (source, source.parent):
        os.utime(entry, (EPOCH, EPOCH))
    return target


def _write_ext4(disk: Path, part: Placed, content: Path) -> None:
    identity = part.file_system_id
    options = f"offset={part.start},hash_seed={identity},root_owner=0:0,lazy_itable_init=1"
    shell.run(
        "mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-O", EXT4, "-E", options,
        "-U", identity, "-L", part.partition.name, "-d", content, disk, f"{part.size // 1024}k",
        env=STABLE,
    )  # fmt: skip
    place = f"{disk}?offset={part.start}"
    # mkfs takes all of the tree but the permissions of its top, and times that no program can set in a tree.
    changes = [f"set_inode_field / mode 04{part.partition.mode:04o}"]
    for inode in range(FIRST_INODE, _used_inodes(place) + 1):
        changes += [f"set_inode_field <{inode}> {time} @{EPOCH}" for time in ("atime", "ctime")]
    shell.run("debugfs", "-w", "-f", "-", place, input_text="\n".join(changes) + "\n", env=STABLE)


def _used_inodes(place: str) -> int:
    """How many inodes of a file system are used: a new one takes them in their order."""
    header = shell.run("debugfs", "-R", "show_super_stats -h", place)
    found = dict(re.findall(r"^(Inode count|Free inodes): +(\d+)$", header, re.MULTILINE))
    return int(found["Inode count"]) - int(found["Free inodes"])


def _write_fat(disk: Path, part: Placed, files: dict[str, bytes], folder: Path) -> None:
    shell.run(
        "mkfs.vfat", "--invariant", "-i", part.file_system_id.replace("-", ""), "-F", "32", "-s", "1",
        "-n", part.partition.name.upper(), f"--offset={part.start // SECTOR}", disk, str(part.size // 1024),
    )  # fmt: skip
    place = f"{disk}@@{part.start}"
    made: set[str] = set()
    for path, content in files.items():
        for parent in reversed(Path(path).parents[:-1]):
            if str(parent) not in made:
                shell.run("mmd", "-i", place, f"::/{parent}", env=STABLE)
                made.add(str(parent))
        file = folder / Path(path).name
        file.write_bytes(content)
        os.utime(file, (EPOCH, EPOCH))
        shell.run("mcopy", "-m", "-i", place, file, f"::/{path}", env=STABLE)
