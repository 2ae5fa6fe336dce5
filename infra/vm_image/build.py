"""The built image in the cache: a compressed qcow2, the raw disk, checksums and bill of materials."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from refsys.infra import paths, shell
from refsys.infra.errors import UserError
from refsys.infra.vm_image import disk, hardening, recipe, system
from refsys.infra.vm_image.partitions import DISK_GIB
from refsys.platform.images import debian, sbom
from refsys.platform.images.store import canonical

HOST_PACKAGES = ("dosfstools", "e2fsprogs", "fdisk", "mmdebstrap", "mtools", "qemu-utils", "systemd-container")
"""Debian packages with the programs below."""
PROGRAMS = {
    "debugfs": "e2fsprogs",
    "mcopy": "mtools",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "systemd-nspawn": "systemd-container",
}
FREE_GIB = 6
"""Disk that a build needs: the tree, the same as file systems, and the compressed image."""

SECONDS = {"packages": 180, "hardening": 60, "disk": 60, "qcow2": 90}
"""How long the steps take on two cores."""

Step = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class VmImage:
    """A built image."""

    name: str
    qcow2: Path
    raw: Path
    sbom: Path
    sha256: str
    """Of the qcow2 file."""
    disk_gib: int = DISK_GIB
    """The smallest disk of a server."""
    memory_mib: int = 2048
    """The least memory of a server."""


def folder(image: str) -> Path:
    """Where the image of that name lies in the cache."""
    return paths.cache() / "vm" / image


def found(image: str) -> VmImage | None:
    """The image of that name, where it was built."""
    home = folder(image)
    sums = home / "SHA256SUMS"
    if not sums.exists():
        return None
    checksums = {name: checksum for checksum, name in (line.split() for line in sums.read_text().splitlines())}
    qcow2 = home / f"{image}.qcow2"
    return VmImage(image, qcow2, home / f"{image}.raw", home / f"{image}.cdx.json", checksums[qcow2.name])


def estimate() -> int:
    """Seconds that a build takes on this machine."""
    return sum(SECONDS.values())


def built_image(step: Step = nullcontext) -> VmImage:
    """Return the image of today's recipe; make it first where it's missing (some minutes).

    `step` is entered for every step of the build, with its title.

    Raises:
        UserError: this machine lacks something, or a step failed; nothing half-made is kept.
    """
    image = recipe.name()
    home = folder(image)
    home.parent.mkdir(parents=True, exist_ok=True)
    # One build at a time, of whatever image: its node has one name and one network.
    with (home.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (there := found(image)) is not None:
            return there
        check_machine()
        staging = Path(tempfile.mkdtemp(prefix=f".{image}.", dir=home.parent))
        try:
            _build(image, staging, step)
            shutil.rmtree(home, ignore_errors=True)
            staging.chmod(0o755)
            staging.rename(home)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    made = found(image)
    assert made is not None, home  # noqa: S101 - it was put there just now
    return made


def check_machine() -> None:
    """Raise `UserError` for the first thing that a build lacks here."""
    if os.geteuid() != 0:
        raise UserError("the image's tree runs as a node while it is hardened, which only root can", fix="run as root")
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise UserError(
                f"the program {program} is missing", fix=f"apt-get install {package}, or ./refsys image build"
            )
    for place in {paths.cache(), paths.home()}:
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free / 2**30
        if free < FREE_GIB:
            raise UserError(
                f"{place} has {free:.1f} GiB free, building the image needs {FREE_GIB} GiB",
                fix="free some space, or point REFSYS_CACHE and REFSYS_HOME to another disk",
            )


def _build(image: str, staging: Path, step: Step) -> None:
    hardening.remove()
    root = hardening.tree()
    qcow2, raw, bill = (staging / f"{image}{suffix}" for suffix in (".qcow2", ".raw", ".cdx.json"))
    try:
        with step("install Debian's packages"):
            system.make(root, image)
        with step("harden"):
            hardening.harden()
        system.clear(root)
        system.check_clear(root)
        bill.write_bytes(canonical(bill_of(root, image)))
        with step("make the disk"):
            disk.write(root, image, raw)
        with step("compress"):
            shell.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, qcow2)
        sums = "".join(f"{checksum(file)}  {file.name}\n" for file in (qcow2, raw, bill))
        (staging / "SHA256SUMS").write_text(sums)
    except (shell.CommandError, OSError) as error:
        raise UserError(
            f"the image could not be built: {error}", fix="mend what it names, then run this again"
        ) from error
    finally:
        hardening.sweep()
    hardening.remove()


def bill_of(root: Path, image: str) -> dict[str, object]:
    """The bill of materials of the tree (CycloneDX)."""
    components = debian.installed(root)
    return sbom.document(image, recipe.digest(), [image], components, kind="operating-system")


def checksum(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
