"""The Debian packages of the cloud, and the root file system made of them."""

import hashlib
import os
from pathlib import Path

from refsys.infra import shell
from refsys.infra.clouds.local import image

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "python3", "openssh-server", "ca-certificates"),
    *("sudo", "procps", "kmod", "curl", "iproute2", "iputils-ping", "iptables"),
    *("mariadb-server", "python3-pymysql", "rabbitmq-server"),
    *("keystone", "placement-api", "glance-api", "nova-api", "nova-scheduler", "nova-conductor"),
    # nova-compute-ironic spares libvirt and QEMU; its driver is replaced by nova-compute.conf.
    *("nova-compute", "nova-compute-ironic", "neutron-server", "cinder-api", "cinder-scheduler", "cinder-volume"),
)
SECURITY = "deb http://deb.debian.org/debian-security bookworm-security main"

# Daemons that the packages bring and nobody needs here; udev and the clock are the machine's.
MASKED = (
    *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-timesyncd.service"),
    *("nova-api-metadata.service", "tgt.service", "open-iscsi.service", "iscsid.service", "multipathd.service"),
    *("keepalived.service", "haproxy.service", "radvd.service", "e2scrub_reap.service", "rtslib-fb-targetctl.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "uuidd.service"),
)

# These begin when there are databases (`systemctl enable --now`), in this order.
SERVICES = (
    *("keystone", "placement-api", "glance-api", "nova-api", "neutron-api", "neutron-rpc-server", "cinder-api"),
    *("nova-conductor", "nova-scheduler", "nova-compute", "nova-compute@os2", "nova-compute@os3"),
    *("cinder-scheduler", "cinder-volume"),
)


def digest() -> str:
    """Identity of the packages' root."""
    return hashlib.sha256("\n".join([*PACKAGES, SECURITY, *MASKED, *SERVICES, "1"]).encode()).hexdigest()[:12]


def install(root: Path) -> None:
    """Make the root file system (several minutes; 230 MB are fetched)."""
    shell.run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        f"--setup-hook=echo '{SECURITY}' >$1/etc/apt/sources.list.d/security.list",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "bookworm",
        str(root),
        env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
    )
    image.disable(root, [f"{service}.service" for service in SERVICES])
    for unit in MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    wants = root / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
    wants.unlink(missing_ok=True)
    wants.symlink_to("/lib/systemd/system/systemd-networkd.service")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
