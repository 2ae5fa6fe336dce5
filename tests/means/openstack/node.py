"""The node of the cloud: file system layers one over the other, booted as a local node is."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from refsys.infra import paths, shell
from refsys.infra.clouds.local import network, nspawn
from tests.means.openstack.configuration import ADDRESS, CIDR

ENVIRONMENT = "t-stack"  # the name of its network interface is no longer than the kernel takes
STOP_SECONDS = 300

SPEC = nspawn.NodeSpec(
    environment=ENVIRONMENT, name="os1", address=ADDRESS, cidr=CIDR, memory_mib=7168, cpus=2, public_key=""
)


@contextmanager
def mounted(layers: Sequence[Path], upper: Path) -> Iterator[Path]:
    """The node's root: layers, the topmost first, and what is written on top of them in `upper`."""
    work = upper.with_name(upper.name + ".work")
    for folder in (SPEC.root, upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    lower = ":".join(map(str, layers))
    shell.run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", SPEC.root)
    try:
        yield SPEC.root
    finally:
        nspawn.stop(SPEC)
        shell.run("umount", SPEC.root)
        shell.run("rm", "-rf", work)


def sweep() -> None:
    """Remove what a killed run left: processes, mount, files, network."""
    nspawn.stop(SPEC)
    while SPEC.root.is_mount():
        shell.run("umount", SPEC.root)
    nspawn.destroy(SPEC)
    network.delete(ENVIRONMENT)
    shell.run("rm", "-rf", paths.environment_home(ENVIRONMENT))


def boot() -> None:
    """Boot the mounted root, and wait until it answers on SSH."""
    network.create(ENVIRONMENT, CIDR)
    nspawn.start(SPEC)


def ssh(key: Path, command: str) -> str:
    """Run a command in the node; its output is the error's text where it fails."""
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    return shell.run("ssh", "-q", "-i", key, *options, f"root@{ADDRESS}", command, timeout=900)


def power_off(key: Path) -> None:
    """Shut the node down in order, so that its databases are whole."""
    shell.run("ssh", "-q", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
              "-o", "UserKnownHostsFile=/dev/null", f"root@{ADDRESS}", "systemctl poweroff", ok=(0, 255))  # fmt: skip
    deadline = time.monotonic() + STOP_SECONDS
    while nspawn.leader(SPEC):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the cloud's node did not shut down within {STOP_SECONDS} s")
        time.sleep(0.2)
