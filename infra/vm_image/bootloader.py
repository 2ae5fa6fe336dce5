"""GRUB on the image's disk, for BIOS and EFI, without a block device that its own installer would ask for."""

import re
import struct
from pathlib import Path

from refsys.infra import shell
from refsys.infra.vm_image.partitions import SECTOR, Placed, of_path

# What is read before the modules of /boot/grub can be: the disk, its partitions, the file system, the menu.
MODULES = (
    "biosdisk", "part_gpt", "ext2", "search", "search_fs_uuid", "normal", "configfile", "linux", "gzio", "echo",
    "test", "serial", "terminal", "minicmd",
)  # fmt: skip
BIOS = "boot/grub/i386-pc"

# boot.S and diskboot.S of GRUB 2: the code's end in the first sector, where it says which sector comes next, and where
# that one (the first of the core image) says where the rest of it begins.
CODE_END = 440
KERNEL_SECTOR = 0x5C
REST_SECTOR = 0x1F4


def write_menu(root: Path, parts: list[Placed]) -> None:
    """Write the first menu; the machine's own `update-grub` renews it with every kernel.

    Raises:
        FileNotFoundError: the tree has no kernel.
    """
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    if not kernels:
        raise FileNotFoundError(f"no kernel in {root / 'boot'}")
    version = kernels[-1].name.removeprefix("vmlinuz-")
    arguments = kernel_arguments((root / "etc/default/grub").read_text())
    menu = root / "boot/grub/grub.cfg"
    menu.write_text(
        "set timeout=1\n"
        "insmod gzio\ninsmod part_gpt\ninsmod ext2\n"
        f"menuentry 'Debian GNU/Linux, with Linux {version}' --unrestricted {{\n"
        f"  search --no-floppy --fs-uuid --set=root {of_path(parts, '/boot').file_system_id}\n"
        f"  linux /vmlinuz-{version} root=UUID={of_path(parts, '/').file_system_id} ro {arguments}\n"
        f"  initrd /initrd.img-{version}\n"
        "}\n"
    )
    menu.chmod(0o600)


def kernel_arguments(defaults: str) -> str:
    """The kernel's arguments that /etc/default/grub names."""
    found = dict(re.findall(r'^(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)="?([^"\n]*)"?$', defaults, re.MULTILINE))
    return " ".join(found[key] for key in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT") if found.get(key))


def make_core(root: Path, parts: list[Placed]) -> tuple[bytes, bytes]:
    """Put GRUB's modules into /boot and return the first sector and the core image for BIOS, both for `parts`."""
    shell.run("cp", "-a", "--no-target-directory", root / "usr/lib/grub/i386-pc", root / BIOS)
    early = root / BIOS / "load.cfg"
    early.write_text(f"search.fs_uuid {of_path(parts, '/boot').file_system_id} root\nset prefix=($root)/grub\n")
    shell.run(
        "chroot", root, "grub-mkimage", "--format=i386-pc", f"--config=/{BIOS}/load.cfg", "--prefix=/grub",
        f"--output=/{BIOS}/core.img", *MODULES,
    )  # fmt: skip
    first = (root / BIOS / "boot.img").read_bytes()
    return in_place(first, (root / BIOS / "core.img").read_bytes(), parts[0])


def in_place(first: bytes, core: bytes, bios: Placed) -> tuple[bytes, bytes]:
    """The first sector's code and the core image that lies in the partition `bios`, each told where the next one is.

    Raises:
        ValueError: the core image is larger than its partition.
    """
    if len(core) > bios.size:
        raise ValueError(f"GRUB's core image has {len(core)} bytes, its partition {bios.size}")
    sector = bios.start // SECTOR
    code = bytearray(first[:CODE_END])
    struct.pack_into("<Q", code, KERNEL_SECTOR, sector)
    rest = bytearray(core)
    struct.pack_into("<Q", rest, REST_SECTOR, sector + 1)
    return bytes(code), bytes(rest)


def efi_files(root: Path, parts: list[Placed]) -> dict[str, bytes]:
    """Files of the EFI partition: Debian's signed shim and GRUB where firmware looks for them, and where GRUB does."""
    shim = (root / "usr/lib/shim/shimx64.efi.signed").read_bytes()
    grub = (root / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed").read_bytes()
    menu = (
        f"search.fs_uuid {of_path(parts, '/boot').file_system_id} root\n"
        "set prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n"
    )
    return {
        "EFI/BOOT/BOOTX64.EFI": shim,
        "EFI/BOOT/grubx64.efi": grub,
        "EFI/debian/shimx64.efi": shim,
        "EFI/debian/grubx64.efi": grub,
        "EFI/debian/grub.cfg": menu.encode(),
    }
