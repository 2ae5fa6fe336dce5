"""The file tree of the image: Debian's packages and settings before the hardening, and what is cleared after it."""

import os
import re
import shutil
from pathlib import Path

from refsys.infra import shell
from refsys.infra.clouds.local import image as node_image
from refsys.infra.errors import UserError
from refsys.infra.vm_image import recipe
from refsys.platform.images.debian import DPKG_OPTIONS
from refsys.platform.images.store import EPOCH

CLOUD_INIT_OFF = "etc/cloud/cloud-init.disabled"

# Folders whose contents are a running machine's.
EMPTIED = (
    "boot/efi", "home", "media", "mnt", "opt", "root/.ansible", "root/.ssh", "run", "srv", "tmp", "var/backups",
    "var/cache/apt", "var/lib/aide", "var/lib/apt/lists", "var/lib/cloud", "var/lib/dhcp", "var/lib/private",
    "var/lib/systemd/timers", "var/log/audit", "var/log/journal", "var/tmp",
)  # fmt: skip

# Files that are a machine's own: identity, keys, addresses, seeds.
REMOVED = (
    "etc/ssh/ssh_host_*", "etc/systemd/network/*", "root/.bash_history", "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret", "var/log/*.log", "var/log/apt/*", "var/log/lastlog", "var/log/faillog",
    "etc/.pwd.lock", "var/cache/debconf/*-old", "var/lib/dpkg/*-old", "var/cache/ldconfig/aux-cache",
)  # fmt: skip


def make(root: Path, image: str) -> None:
    """Make the tree of the image of that name: packages (some minutes) and settings; cloud-init does not run in it yet.

    Raises:
        UserError: the packages can't be had.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    options = [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
    try:
        shell.run(
            "mmdebstrap", "--variant=minbase", "--mode=root", *options,
            f"--include={','.join(recipe.PACKAGES)}",
            f"--setup-hook=echo '{node_image.SOURCE}' >$1/etc/apt/sources.list.d/backports.list",
            "--customize-hook=rm $1/etc/apt/sources.list.d/backports.list",
            "bookworm", root,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)},
        )  # fmt: skip
    except shell.CommandError as error:
        raise UserError(
            f"the image's packages could not be installed: {error}",
            fix="make the machine's Debian mirror reachable (apt-get update), then run this again",
        ) from None
    root.chmod(0o755)
    for place, content in recipe.files(image).items():
        file = root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / CLOUD_INIT_OFF).touch()
    (root / "boot/efi").mkdir()
    # The hardening protects the menu, which is written when it has said what the kernel's arguments are.
    (root / "boot/grub").mkdir(exist_ok=True)
    (root / "boot/grub/grub.cfg").touch()
    _set_grub_defaults(root / "etc/default/grub")
    node_image.disable(root, node_image.DISABLED)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    shell.run("systemctl", f"--root={root}", "--quiet", "enable", *recipe.ENABLED)


def _set_grub_defaults(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in recipe.GRUB_DEFAULTS]
    file.write_text("\n".join([*lines, *(f"{key}={value}" for key, value in recipe.GRUB_DEFAULTS.items())]) + "\n")


def clear(root: Path) -> None:
    """Take away what belongs to one machine: identity, keys, addresses, logs, caches; cloud-init runs from now on."""
    for place in EMPTIED:
        folder = root / place
        for entry in folder.iterdir() if folder.is_dir() else ():
            _remove(entry)
    for pattern in REMOVED:
        for entry in root.glob(pattern):
            _remove(entry)
    for place in ("etc/machine-id", "var/log/wtmp", "var/log/btmp"):
        (root / place).write_text("")
    # The same as before the tree was a node.
    for place in ("etc/hostname", "etc/hosts"):
        (root / place).write_text(recipe.FILES[place])
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (root / CLOUD_INIT_OFF).unlink()
    # From now on updates of GRUB's packages also renew what the machine starts from.
    (root / "etc/grub.d/enable_cloud").touch()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def check_clear(root: Path) -> None:
    """Refuse a tree with a password, a host key or a machine's identity in it.

    Raises:
        UserError: what was found; it would be the same on every machine.
    """
    found = []
    for line in (root / "etc/shadow").read_text().splitlines():
        account, password = line.split(":")[:2]
        if not re.fullmatch(r"[!*]+", password):
            found.append(f"a password of {account}")
    found += [str(key.relative_to(root)) for key in root.glob("etc/ssh/ssh_host_*")]
    found += [str(key.relative_to(root)) for key in [*root.glob("root/.ssh/*"), *root.glob("home/*")]]
    found += ["etc/machine-id"] if (root / "etc/machine-id").read_text() else []
    if found:
        raise UserError(
            f"the image would carry to every machine: {', '.join(found)}",
            fix="this is a fault of what was changed in infra/vm_image or the hardening; nothing was kept",
        )


def settle_times(root: Path) -> None:
    """Give every file that the build made or changed the time of all images."""
    for folder, folders, names in os.walk(root):
        for entry in (folder, *(os.path.join(folder, name) for name in (*folders, *names))):  # noqa: PTH118 - 60 000
            if os.lstat(entry).st_mtime > EPOCH:
                os.utime(entry, (EPOCH, EPOCH), follow_symlinks=False)
