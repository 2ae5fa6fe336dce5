"""The image of virtual machines: its disk, what must not be in it, and the cache."""

import filecmp
import hashlib
import itertools
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refsys.infra import paths
from refsys.infra.cli import image as command
from refsys.infra.cli import packages
from refsys.infra.errors import UserError
from refsys.infra.vm_image import bootloader, build, disk, partitions, recipe, system
from refsys.infra.vm_image.partitions import MIB, Partition

NAME = "refsys-debian-12-0123456789ab"


def _output(*arguments: str | Path) -> str:
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=True).stdout


def test_partitions_follow_each_other_and_leave_room_for_the_second_table() -> None:
    parts = partitions.placed(NAME)
    assert parts[0].start == MIB
    for before, after in itertools.pairwise(parts):
        assert after.start == before.start + before.size
    assert parts[-1].start + parts[-1].size <= partitions.DISK_BYTES - MIB
    assert parts[-1].partition.path == "/var", "the last one is what grows"


def test_sfdisk_reads_the_table_as_it_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    with file.open("wb") as stream:
        stream.truncate(partitions.DISK_BYTES)
    parts = partitions.placed(NAME)
    subprocess.run(["sfdisk", "--quiet", file], input=partitions.table(NAME, parts), text=True, check=True)
    read = json.loads(_output("sfdisk", "--json", file))["partitiontable"]["partitions"]
    assert [(entry["start"] * 512, entry["size"] * 512, entry["name"]) for entry in read] == [
        (part.start, part.size, part.partition.name) for part in parts
    ]
    assert read[-1]["type"] == partitions.VAR


@pytest.mark.parametrize(
    ("path", "options"),
    {
        "/home": {"nodev", "nosuid"},
        "/var": {"nodev", "nosuid"},
        "/var/tmp": {"nodev", "nosuid", "noexec"},  # noqa: S108
        "/var/log": {"nodev", "nosuid", "noexec"},
        "/var/log/audit": {"nodev", "nosuid", "noexec"},
    }.items(),
)
def test_what_cis_asks_for_is_a_partition_with_its_options(tmp_path: Path, path: str, options: set[str]) -> None:
    file = tmp_path / "fstab"
    file.write_text(partitions.fstab(partitions.placed(NAME)))
    source, found = _output("findmnt", f"--tab-file={file}", "-no", "SOURCE,OPTIONS", path).split()
    assert source.startswith("UUID=")
    assert options <= set(found.split(","))


def test_outer_mounts_come_first() -> None:
    text = partitions.fstab(partitions.placed(NAME))
    paths = [line.split()[1] for line in text.splitlines() if line.startswith("UUID=")]
    assert paths.index("/") < paths.index("/var") < paths.index("/var/log") < paths.index("/var/log/audit")


def test_grub_is_told_where_it_lies() -> None:
    bios = partitions.placed(NAME)[0]
    code, core = bootloader.in_place(bytes(512), bytes(2000), bios)
    assert len(code) == bootloader.CODE_END, "what follows is the partition table's"
    assert struct.unpack_from("<Q", code, 0x5C) == (bios.start // 512,)
    assert struct.unpack_from("<Q", core, 0x1F4) == (bios.start // 512 + 1,)
    assert len(core) == 2000
    with pytest.raises(ValueError, match="1048577"):
        bootloader.in_place(bytes(512), bytes(MIB + 1), bios)


def test_the_kernel_gets_the_arguments_of_hardening_and_console() -> None:
    defaults = 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX="audit=1"\nGRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n'
    assert bootloader.kernel_arguments(defaults) == "audit=1 console=ttyS0"
    assert bootloader.kernel_arguments('GRUB_CMDLINE_LINUX=""\n') == ""


def _tree(root: Path) -> Path:
    for folder in ("boot/efi", "boot/grub", "etc/default", "home", "var/log/audit", "var/tmp", "var/lib/dpkg"):
        (root / folder).mkdir(parents=True)
    (root / "boot/vmlinuz-6.1").write_bytes(b"kernel")
    (root / "etc/default/grub").write_text('GRUB_CMDLINE_LINUX="audit=1"\n')
    (root / "var/lib/dpkg/status").write_text("")
    (root / "var/log/audit/note").write_text("inner")
    return root


def _written(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    file = folder / "disk"
    disk.write(_tree(folder / "root"), NAME, file)
    return file


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small disk, and a boot loader that is only bytes: the real one needs Debian's packages in the tree."""
    layout = (
        Partition("bios", 1, kind=partitions.BIOS_BOOT),
        Partition("efi", 40, "/boot/efi", kind=partitions.EFI_SYSTEM),
        Partition("boot", 40, "/boot", mode=0o700),
        Partition("var-tmp", 40, "/var/tmp", mode=0o1777),  # noqa: S108
        Partition("var-log-audit", 40, "/var/log/audit", mode=0o750),
        Partition("root", 60, "/"),
        Partition("var", 60, "/var", kind=partitions.VAR),
    )
    monkeypatch.setattr(partitions, "LAYOUT", layout)
    monkeypatch.setattr(disk, "DISK_BYTES", 290 * MIB)
    monkeypatch.setattr(bootloader, "make_core", lambda *_: (b"C" * bootloader.CODE_END, b"core image"))
    monkeypatch.setattr(bootloader, "efi_files", lambda *_: {"EFI/BOOT/BOOTX64.EFI": b"shim"})


@pytest.mark.usefixtures("small")
def test_the_disk_holds_the_tree_by_partitions(tmp_path: Path) -> None:
    file = _written(tmp_path, "one")
    at = {part.partition.path: f"{file}?offset={part.start}" for part in partitions.placed(NAME)}
    assert _output("debugfs", "-R", "cat /note", at["/var/log/audit"]) == "inner"
    assert "Mode:  0750" in _output("debugfs", "-R", "stat /", at["/var/log/audit"])
    assert "Mode:  01777" in _output("debugfs", "-R", "stat /", at["/var/tmp"])  # noqa: S108
    assert _output("debugfs", "-R", "ls -p /log/audit", at["/var"]).count("\n/") <= 2, "only a place to mount it"
    assert _output("debugfs", "-R", "cat /vmlinuz-6.1", at["/boot"]) == "kernel"
    for path in ("/", "/boot", "/var", "/var/log/audit"):
        subprocess.run(["e2fsck", "-fn", at[path]], check=True, capture_output=True)
    assert "audit=1" in _output("debugfs", "-R", "cat /grub/grub.cfg", at["/boot"])
    efi = next(part for part in partitions.placed(NAME) if part.partition.is_fat)
    assert _output("mtype", "-i", f"{file}@@{efi.start}", "::/EFI/BOOT/BOOTX64.EFI") == "shim"
    with file.open("rb") as stream:
        assert stream.read(bootloader.CODE_END) == b"C" * bootloader.CODE_END
        stream.seek(MIB)
        assert stream.read(10) == b"core image"
    subprocess.run(["sfdisk", "--verify", file], check=True, capture_output=True)


@pytest.mark.usefixtures("small")
def test_the_same_tree_gives_the_same_disk(tmp_path: Path) -> None:
    assert filecmp.cmp(_written(tmp_path, "one"), _written(tmp_path, "two"), shallow=False)


def _machine(root: Path) -> Path:
    """A tree as it is after it was a node."""
    for folder in ("etc/ssh", "etc/cloud", "etc/grub.d", "root/.ssh", "var/log/journal/abc", "var/lib/cloud/data"):
        (root / folder).mkdir(parents=True)
    for place, text in {
        "etc/shadow": "root:*:1::::::\ndaemon:!*:1::::::\n",
        "etc/machine-id": "abc\n",
        "etc/ssh/ssh_host_ed25519_key": "key",
        "etc/cloud/cloud-init.disabled": "",
        "etc/hostname": "image\n",
        "root/.ssh/authorized_keys": "ssh-ed25519 AAAA",
        "var/log/dpkg.log": "x",
    }.items():
        (root / place).write_text(text)
    return root


def test_nothing_of_the_building_machine_stays(tmp_path: Path) -> None:
    root = _machine(tmp_path)
    with pytest.raises(UserError, match=r"ssh_host_ed25519_key.*authorized_keys.*machine-id"):
        system.check_clear(root)
    system.clear(root)
    system.check_clear(root)
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "etc/hostname").read_text() == "localhost\n"
    assert not list((root / "var/log/journal").iterdir())
    assert not (root / "etc/cloud/cloud-init.disabled").exists()


@pytest.mark.parametrize("password", ["", "$y$j9T$abc", "x"])
def test_an_account_with_a_password_or_with_none_at_all_is_refused(tmp_path: Path, password: str) -> None:
    root = _machine(tmp_path)
    system.clear(root)
    (root / "etc/shadow").write_text(f"root:*:1::::::\noperator:{password}:1::::::\n")
    with pytest.raises(UserError, match="a password of operator"):
        system.check_clear(root)


def test_the_name_follows_from_what_makes_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe.name()
    assert before == recipe.name()
    role = tmp_path / "os_hardening"
    shutil.copytree(recipe.SOURCES[1], role)
    monkeypatch.setattr(recipe, "SOURCES", (role,))
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    with_role = recipe.name()
    (role / "defaults/main.yml").write_text("os_hardening_level: 1\n")
    assert len({before, with_role, recipe.name()}) == 3


def test_too_little_disk_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(build, "FREE_GIB", 10**6)
    with pytest.raises(UserError, match="needs 1000000 GiB"):
        build.built_image()
    assert [entry.name for entry in (tmp_path / "cache/vm").iterdir()] == [".lock"]


def _cached(cache: Path) -> build.VmImage:
    name = recipe.name()
    home = cache / "vm" / name
    home.mkdir(parents=True)
    (home / f"{name}.qcow2").write_bytes(b"qcow2")
    (home / "SHA256SUMS").write_text(f"{hashlib.sha256(b'qcow2').hexdigest()}  {name}.qcow2\n")
    found = build.found(name)
    assert found is not None
    return found


def test_a_built_image_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSYS_CACHE", str(tmp_path))
    assert build.found(recipe.name()) is None
    _cached(tmp_path)
    image = build.built_image()
    assert image.qcow2.read_bytes() == b"qcow2"
    assert image.sha256 == build.checksum(image.qcow2)


def test_the_command_copies_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSYS_CACHE", str(tmp_path))
    monkeypatch.setattr(packages, "install", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "160")
    before = CliRunner().invoke(command.app, ["list"])
    assert "not built" in " ".join(before.stdout.split())
    _cached(tmp_path)
    target = tmp_path / "copy.qcow2"
    done = CliRunner().invoke(command.app, ["build", "--output", str(target)])
    assert done.exit_code == 0, done.stdout
    assert target.read_bytes() == b"qcow2"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    assert "of this version" in CliRunner().invoke(command.app, ["list"]).stdout


def test_a_copy_into_no_folder_is_refused_before_the_build(tmp_path: Path) -> None:
    done = CliRunner().invoke(command.app, ["build", "--output", str(tmp_path / "no" / "copy.qcow2")])
    assert isinstance(done.exception, UserError)
    assert "there is no folder" in str(done.exception)
