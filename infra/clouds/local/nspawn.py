"""One node: a systemd-nspawn container with a copy of the node image, its own systemd, and SSH."""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from refsys.infra import paths, shell
from refsys.infra.clouds.local import cgroups, image, naming, network

BOOT_SECONDS = 60

# A node must not reach into the machine beyond its own namespaces: no modules, no clock, no raw I/O.
DROPPED = "CAP_SYS_MODULE,CAP_SYS_TIME,CAP_SYS_RAWIO"

# Only network keys of the kernel are the node's own. It mounts /tmp itself, as its fstab says.
SETTINGS = {
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
    "SYSTEMD_NSPAWN_USE_CGNS": "1",
    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
}


@dataclass(frozen=True)
class NodeSpec:
    """What a node is made from; `address` lies in `cidr`."""

    environment: str
    name: str
    address: str
    cidr: str
    memory_mib: int
    cpus: float
    public_key: str

    @property
    def machine(self) -> str:
        """Name of the container."""
        return naming.machine(self.environment, self.name)

    @property
    def folder(self) -> Path:
        """Folder of the node."""
        return paths.environment_home(self.environment) / "nodes" / self.name

    @property
    def root(self) -> Path:
        """The node's root file system."""
        return self.folder / "root"


def create(spec: NodeSpec) -> str:
    """Make the node's file system, start it, and return its instance id.

    Raises:
        shell.CommandError: a system program failed.
        TimeoutError: the node didn't answer on SSH; the message holds the end of its console.
    """
    destroy(spec)
    spec.folder.mkdir(parents=True)
    shell.run("cp", "-a", "--reflink=auto", f"{image.ensure()}/.", str(spec.root) + ".new")
    root = Path(str(spec.root) + ".new")
    instance = identify(spec, root)
    root.rename(spec.root)
    start(spec)
    return instance


def identify(spec: NodeSpec, root: Path) -> str:
    """Give the file system `root` the node's name, address and keys, and return its instance id."""
    instance = uuid.uuid4().hex
    (root / "etc/machine-id").write_text(instance + "\n")
    (root / "etc/hostname").write_text(spec.name + "\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{spec.address} {spec.name}\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    prefix = spec.cidr.rpartition("/")[2]
    (root / "etc/systemd/network/10-host0.network").write_text(
        f"[Match]\nName=host0\n[Network]\nAddress={spec.address}/{prefix}\nGateway={network.gateway(spec.cidr)}\nLinkLocalAddressing=no\n"
    )
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    (ssh / "authorized_keys").write_text(spec.public_key.strip() + "\n")
    shell.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / "etc/ssh/ssh_host_ed25519_key")
    return instance


def start(spec: NodeSpec) -> None:
    """Boot the node where it doesn't run, and wait until it answers on SSH."""
    boot: subprocess.Popen[bytes] | None = None
    if not leader(spec):
        stop(spec)
        # Groups of the last boot would be taken for containers that still run.
        cgroups.delete(spec.machine)
        boot = _boot(spec)
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline and not (boot and boot.poll()):
        try:
            with socket.create_connection((spec.address, 22), timeout=1) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.1)
    silent = f"didn't answer on {spec.address}:22 within {BOOT_SECONDS} s"
    raise TimeoutError(
        f"node {spec.name} of {spec.environment} {'ended while it started' if boot and boot.poll() else silent}; "
        f"its console ends with:\n{console_tail(spec)}"
    )


def _boot(spec: NodeSpec) -> subprocess.Popen[bytes]:
    groups = cgroups.create(spec.machine, memory_mib=spec.memory_mib, cpus=spec.cpus)
    command = [
        "systemd-nspawn", "--boot", "--quiet", f"--directory={spec.root}", f"--machine={spec.machine}",
        "--register=no", "--keep-unit", "--capability=all", f"--drop-capability={DROPPED}",
        f"--network-bridge={naming.bridge(spec.environment)}", "--bind-ro=/dev/kmsg", "--system-call-filter=@known",
        "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", "--kill-signal=SIGRTMIN+3",
    ]  # fmt: skip
    # The shell joins the node's groups before nspawn starts, so that the container's group namespace begins there.
    join = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
    with (spec.folder / "console.log").open("ab") as console:
        return subprocess.Popen(
            ["/bin/sh", "-c", join + 'exec "$@"', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            env=os.environ | SETTINGS,
        )


def leader(spec: NodeSpec) -> int | None:
    """Process id of the node's nspawn process, found by its root folder; None where it doesn't run."""
    wanted = f"--directory={spec.root}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if arguments[0].endswith(b"systemd-nspawn") and wanted in arguments:
                return int(folder.name)
    return None


def exists(spec: NodeSpec) -> bool:
    """Whether the node's file system is there, complete."""
    return spec.root.is_dir()


def data(spec: NodeSpec) -> list[str]:
    """What of the environment lies in the node's file system alone: volumes, the cluster's state."""
    folders = {folder.name: folder for folder in sorted((spec.root / "var/lib/refsys/volumes").glob("*"))}
    folders["the cluster's state"] = spec.root / "var/lib/etcd"
    # Inputs of jobs are brought again.
    return [name for name, folder in folders.items() if not name.startswith("jobs-") and _filled(folder)]


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def stop(spec: NodeSpec) -> None:
    """End every process of the node."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pids = cgroups.processes(spec.machine) | ({pid} if (pid := leader(spec)) else set())
        if not pids:
            # The kernel ends a network namespace some time after its last process; the next boot needs the name.
            shell.run("ip", "link", "delete", "dev", f"vb-{spec.machine}", ok=(0, 1))
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    raise TimeoutError(f"processes of node {spec.name} of {spec.environment} didn't end: {sorted(pids)}")


def destroy(spec: NodeSpec) -> None:
    """Remove the node: processes, control groups, file system. Nothing to remove is fine."""
    stop(spec)
    cgroups.delete(spec.machine)
    # The kernel may still hold mounts of the last processes for a moment.
    for passed in ((0, 1),) * 20 + ((0,),):
        shell.run("rm", "--recursive", "--force", "--one-file-system", spec.folder, ok=passed)
        if not spec.folder.exists():
            return
        time.sleep(0.2)


def host_key(spec: NodeSpec) -> str:
    """The node's SSH host key, for known_hosts."""
    return " ".join((spec.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])


def console_tail(spec: NodeSpec) -> str:
    """The last lines of the node's console."""
    file = spec.folder / "console.log"
    lines = file.read_text(errors="replace").splitlines() if file.exists() else ["(no console yet)"]
    return "\n".join("    " + line for line in lines[-12:])
