"""The root file system that every node starts from: Debian 12 made by mmdebstrap, cached by content."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from refsys.infra import paths, shell
from refsys.infra.errors import UserError

# What a cloud image of Debian holds, and what the cluster's roles install, so that they find it done.
BACKPORTS = "bookworm-backports"
PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "udev", "python3", "python3-apt", "openssh-server", "ca-certificates"),
    *("sudo", "procps", "linux-base", "kmod", "curl", "jq", "iproute2", "iputils-ping", "ethtool", "socat"),
    *("nftables", "iptables", "ipset", "conntrack", "ebtables"),
    *("containerd", "runc", "containernetworking-plugins", "docker-registry", "apache2-utils"),
    *("auditd", "audispd-plugins", "aide", "libpam-pwquality", "cracklib-runtime", "debsums"),
    *("rsyslog", "rsyslog-kafka", "prometheus-node-exporter", "clamav", "samhain", "logrotate"),
    *("libnss-sss", "libpam-sss", "sssd-common", "sssd-ldap"),
    *(f"suricata/{BACKPORTS}", f"libhtp2/{BACKPORTS}"),
]
SOURCE = f"deb http://deb.debian.org/debian {BACKPORTS} main"

UNIT = """\
[Unit]
Description=Make the node's mounts shared and its control groups writable
DefaultDependencies=no
After=local-fs.target
Before=containerd.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --make-rshared /
ExecStart=/bin/sh -c 'for group in /sys/fs/cgroup/*; do \\
  [ -L "$$group" ] || [ ! -d "$$group/" ] || mount -o remount,bind,rw "$$group" || true; done'

[Install]
WantedBy=multi-user.target
"""

# Routes that the cluster's network adds are not networkd's to clean up.
NETWORKD = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"

# No hardware and no clock of its own; daemons start when their role says so.
MASKED = ["systemd-udevd.service", "systemd-udev-trigger.service", "systemd-timesyncd.service"]
DISABLED = [
    "docker-registry.service",
    "containerd.service",
    "auditd.service",
    "clamav-freshclam.service",
    "prometheus-node-exporter.service",
    "rsyslog.service",
    "samhain.service",
    "sssd.service",
    "suricata.service",
    "e2scrub_reap.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
]


def disable(root: Path, units: Sequence[str]) -> None:
    """Let no target and no runlevel of an image want these units."""
    for unit in units:
        for wants in root.glob("etc/systemd/system/*.wants"):
            # The link leads out of the image: a look for files that exist would not see it.
            (wants / unit).unlink(missing_ok=True)
        name = unit.removesuffix(".service")
        for start in root.glob(f"etc/rc?.d/S??{name}"):
            # Without any link the script could not be enabled any more.
            start.rename(start.with_name(f"K01{name}"))


def digest() -> str:
    """Identity of the image's recipe."""
    recipe = "\n".join([*PACKAGES, SOURCE, UNIT, NETWORKD, *MASKED, *DISABLED, "4"])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def ensure() -> Path:
    """Return the image's folder; make it first where it's missing (about a minute)."""
    folder = paths.cache() / "nodes" / digest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{digest()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            staging = Path(tempfile.mkdtemp(prefix=f".{digest()}.", dir=folder.parent))
            try:
                _make(staging)
                staging.chmod(0o755)
                staging.rename(folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return folder


def _make(root: Path) -> None:
    try:
        shell.run(
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            f"--setup-hook=echo '{SOURCE}' >$1/etc/apt/sources.list.d/backports.list",
            "--customize-hook=rm $1/etc/apt/sources.list.d/backports.list",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "bookworm",
            str(root),
            env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
        )
    except shell.CommandError as error:
        raise UserError(
            f"the node image could not be made: {error}",
            fix="make the machine's Debian mirror reachable (apt-get update), then run this again",
        ) from None
    system = root / "etc/systemd/system"
    (system / "refsys-node.service").write_text(UNIT)
    disable(root, DISABLED)
    for unit in MASKED:
        (system / unit).symlink_to("/dev/null")
    wants = system / "multi-user.target.wants"
    for unit, target in {
        "refsys-node.service": "/etc/systemd/system/refsys-node.service",
        "systemd-networkd.service": "/lib/systemd/system/systemd-networkd.service",
    }.items():
        (wants / unit).symlink_to(target)
    networkd = root / "etc/systemd/networkd.conf.d"
    networkd.mkdir()
    (networkd / "foreign.conf").write_text(NETWORKD)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    for cached in (root / "var/cache/apt/archives").glob("*.deb"):
        cached.unlink()
