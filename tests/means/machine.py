"""A virtual machine under QEMU: a disk on top of an image, a seed disk for cloud-init, SSH, the console in a file."""

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

BOOT_SECONDS = 900
"""Without hardware support a boot takes minutes."""
OVMF = (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd"))


def key(file: Path) -> str:
    """Make an SSH key; return its public part."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", file], check=True)
    return file.with_suffix(".pub").read_text().strip()


@dataclass
class Machine:
    """One machine and its files; the disk has `disk_gib`, of which the image is the beginning."""

    folder: Path
    image: Path
    disk_gib: int
    memory_mib: int = 2048
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def make(self) -> None:
        """Make keys, disk and seed; the machine gets its host key from the seed."""
        operator, host = key(self.folder / "operator"), key(self.folder / "host")
        config = {
            "hostname": "image-test",
            "disable_root": False,
            "ssh_authorized_keys": [operator],
            "ssh_keys": {"ed25519_private": (self.folder / "host").read_text(), "ed25519_public": host},
        }
        seed = self.folder / "seed"
        seed.mkdir()
        (seed / "user-data").write_text("#cloud-config\n" + yaml.safe_dump(config))
        (seed / "meta-data").write_text("instance-id: image-test\nlocal-hostname: image-test\n")
        subprocess.run(
            [
                "xorriso",
                "-as",
                "genisoimage",
                "-quiet",
                "-V",
                "cidata",
                "-J",
                "-r",
                "-o",
                self.folder / "seed.iso",
                seed,
            ],
            check=True,
            capture_output=True,
        )
        subprocess.run(
            [
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-b",
                self.image,
                "-F",
                "qcow2",
                self.disk,
                f"{self.disk_gib}G",
            ],
            check=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        name = " ".join(host.split()[:2])
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {name}\n")

    @property
    def disk(self) -> Path:
        """The machine's own disk."""
        return self.folder / "disk.qcow2"

    def start(self, *, efi: bool = False) -> None:
        """Boot, by BIOS or by EFI, and wait until SSH lets the operator in and cloud-init is through."""
        firmware: list[str] = []
        if efi:
            shutil.copyfile(OVMF[1], self.folder / "efivars")
            firmware = [
                *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF[0]}"),
                *("-drive", f"if=pflash,format=raw,unit=1,file={self.folder / 'efivars'}"),
            ]
        self.process = subprocess.Popen(
            [
                # Time goes on with the instructions: beside other work the kernel would find that its timers fail.
                *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-icount", "auto", "-cpu", "max"),
                *("-m", str(self.memory_mib), "-display", "none", "-no-reboot", *firmware),
                *("-drive", f"if=virtio,format=qcow2,discard=unmap,file={self.disk}"),
                *("-drive", f"if=virtio,format=raw,readonly=on,file={self.folder / 'seed.iso'}"),
                *("-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
                *("-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-pci,rng=rng"),
                *("-serial", f"file:{self.console}"),
            ],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None and "Kernel panic" not in self.tail():
            if self.ssh("cloud-init status --wait >/dev/null; true").returncode == 0:
                return
            time.sleep(5)
        raise TimeoutError(f"the machine did not come up; its console ends with:\n{self.tail()}")

    @property
    def console(self) -> Path:
        """What the machine printed."""
        return self.folder / "console.log"

    def tail(self) -> str:
        """The console's last lines."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join(text.splitlines()[-40:])

    def ssh(self, command: str, user: str = "root", seconds: float = BOOT_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command; the host must show the key of the seed."""
        return subprocess.run(
            [
                *("ssh", "-i", self.folder / "operator", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
                *("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"),
                *("-o", "ConnectTimeout=20", "-p", str(self.port), f"{user}@127.0.0.1", command),
            ],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )

    def stop(self) -> None:
        """Shut down where it runs, and wait for it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.ssh("systemctl poweroff")
        try:
            self.process.wait(180)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
