"""What this machine must have to carry an environment."""

import os
import shutil
from pathlib import Path

from refsys.infra import paths
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError

DISK_GIB = 20
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh-keygen": "openssh-client",
}
FILE_SYSTEMS = ("overlay",)
NETWORK_TYPES = {
    "/proc/sys/net/bridge": "bridge netfilter (CONFIG_BRIDGE_NETFILTER, module br_netfilter)",
}


def check(environment: Environment) -> None:
    """Raise `UserError` for the first thing that is missing."""
    if os.geteuid() != 0:
        raise UserError("the local cloud makes namespaces and bridges, which only root can", fix="run it as root")
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise UserError(f"the program {program} is missing", fix=f"apt-get install {package}")
    known = Path("/proc/filesystems").read_text().split()
    for name in FILE_SYSTEMS:
        if name not in known:
            raise UserError(
                f"the kernel has no {name} file system, containers need it",
                fix=f"modprobe {name}, or boot a kernel that has it",
            )
    for path, feature in NETWORK_TYPES.items():
        if not Path(path).exists():
            raise UserError(f"the kernel lacks {feature}", fix="modprobe br_netfilter, or boot a kernel that has it")
    check_memory(environment, _memory_mib())
    check_disk(_free_gib())


def check_memory(environment: Environment, available_mib: int) -> None:
    """Refuse nodes that together may use more than the machine has."""
    local = environment.local
    wanted = sum(len(pool.names) * local.size_of(pool).memory_mib for pool in local.pools())
    if wanted > available_mib:
        raise UserError(
            f"the nodes of {environment.name} may use {wanted} MiB, this machine has {available_mib} MiB",
            fix="make them smaller: pulumi config set --path refsys:local.worker.memory_mib … "
            "(with refsys:local.worker.cpus), or use fewer nodes",
        )


def check_disk(free_gib: float) -> None:
    """Refuse a disk that would fill up while images and volumes are made."""
    if free_gib < DISK_GIB:
        raise UserError(
            f"{paths.home()} has {free_gib:.0f} GiB free, an environment needs {DISK_GIB} GiB",
            fix="free some space, or point REFSYS_HOME to another disk",
        )


def _memory_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def _free_gib() -> float:
    folder = paths.home()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 2**30
