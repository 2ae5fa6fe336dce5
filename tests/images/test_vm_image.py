"""The image of virtual machines, built and booted: who gets in, and whether the hardening holds on its own kernel."""

import hashlib
import json
import re
from collections.abc import Iterator

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from refsys.infra import paths
from refsys.infra.vm_image import VmImage, built_image
from tests.means.machine import Machine

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400), pytest.mark.xdist_group("vm-image")]

DISK_GIB = 24
KEYS = paths.CHECKOUT / "security/roles/os_hardening/vars/main/main.yml"


@pytest.fixture(scope="module")
def image() -> VmImage:
    return built_image()


@pytest.fixture(scope="module")
def machine(image: VmImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted by BIOS, on a disk larger than the image."""
    machine = Machine(tmp_path_factory.mktemp("machine"), image.qcow2, DISK_GIB)
    machine.make()
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


def _output(machine: Machine, command: str) -> str:
    done = machine.ssh(command)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def test_the_bill_names_kernel_and_cloud_init(image: VmImage) -> None:
    text = image.sbom.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    names = {component["name"] for component in bill["components"]}
    assert {"linux-image-cloud-amd64", "cloud-init", "containerd", "openssh-server", "auditd"} <= names
    assert bill["metadata"]["component"]["type"] == "operating-system"


def test_the_checksum_is_that_of_the_file(image: VmImage) -> None:
    with image.qcow2.open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == image.sha256


def test_it_comes_up_with_the_given_host_key_and_lets_the_given_key_in(machine: Machine) -> None:
    # Machine.ssh refuses any other host key.
    assert _output(machine, "hostname") == "image-test"
    assert _output(machine, "cloud-init status") == "status: done"
    assert machine.ssh("true", user="debian").returncode == 0
    assert _output(machine, "ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key", "no key of the build"
    assert len(_output(machine, "cat /etc/machine-id")) == 32


def test_nobody_has_a_password(machine: Machine) -> None:
    passwords = [line.split(":")[1] for line in _output(machine, "cat /etc/shadow").splitlines()]
    assert all(re.fullmatch(r"[!*]+", password) for password in passwords), passwords


def test_no_unit_failed(machine: Machine) -> None:
    _output(machine, "systemctl is-system-running --wait || true")
    assert _output(machine, "systemctl list-units --failed --plain --no-legend") == ""


@pytest.mark.parametrize(
    ("path", "options"),
    {
        "/tmp": {"nodev", "nosuid", "noexec"},  # noqa: S108
        "/dev/shm": {"nodev", "nosuid", "noexec"},  # noqa: S108
        "/boot": {"nodev", "nosuid", "noexec"},
        "/home": {"nodev", "nosuid", "noexec"},
        "/var": {"nodev", "nosuid"},
        "/var/tmp": {"nodev", "nosuid", "noexec"},  # noqa: S108
        "/var/log": {"nodev", "nosuid", "noexec"},
        "/var/log/audit": {"nodev", "nosuid", "noexec"},
        "/opt": {"nodev", "nosuid"},
    }.items(),
)
def test_folders_are_mounted_with_restrictions(machine: Machine, path: str, options: set[str]) -> None:
    found = _output(machine, f"findmnt --noheadings --output VFS-OPTIONS --mountpoint {path}")
    assert options <= set(found.split(","))


def test_var_takes_what_the_disk_has_more(machine: Machine) -> None:
    gib = int(_output(machine, "df --output=size --block-size=1 /var").split()[-1]) / 2**30
    assert gib > DISK_GIB - 16 + 5


def test_kernel_keys_have_the_values_of_the_hardening(machine: Machine) -> None:
    keys = yaml.safe_load(KEYS.read_text())["_os_hardening_keys"]
    # What Kubernetes needs otherwise (waivers.yml).
    wanted = {key: str(value) for rule, of in keys.items() if rule not in {"3.3.1", "A3.3.2", "A3.3.5"}
              for key, value in of.items()}  # fmt: skip
    found = dict(line.split(" = ") for line in _output(machine, f"sysctl --ignore {' '.join(wanted)}").splitlines())
    wrong = {key: value for key, value in found.items() if " ".join(value.split()) != wanted[key]}
    assert not wrong
    assert len(found) > 50


def test_the_kernel_was_started_as_the_hardening_says(machine: Machine) -> None:
    arguments = _output(machine, "cat /proc/cmdline").split()
    assert {"audit=1", "apparmor=1", "slab_nomerge=yes", "page_poison=1"} <= set(arguments)
    assert _output(machine, "cat /sys/module/apparmor/parameters/enabled") == "Y"


def test_the_ssh_server_takes_keys_alone(machine: Machine) -> None:
    settings = dict(line.split(" ", 1) for line in _output(machine, "sshd -T").splitlines() if " " in line)
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["x11forwarding"] == "no"
    assert settings["permitrootlogin"] == "no", "but for the controller, by a Match"


def test_audit_firewall_and_integrity_are_at_work(machine: Machine) -> None:
    units = "auditd apparmor refsys-firewall systemd-timesyncd ssh"
    assert set(_output(machine, f"systemctl is-active {units}").split()) == {"active"}
    assert int(_output(machine, "auditctl -l | wc -l")) > 50
    assert "policy drop" in _output(machine, "nft list table inet refsys_host")
    assert _output(machine, "systemctl is-enabled aide-database.service aide-check.timer").split() == ["enabled"] * 2
    assert machine.ssh("systemctl is-enabled containerd").stdout.strip() == "disabled", "its role starts it"


def test_packages_of_nodes_are_there(machine: Machine) -> None:
    assert _output(machine, "containerd --version; runc --version; nft --version").count("\n") >= 2


def test_the_boot_menu_and_grub_can_be_renewed(machine: Machine) -> None:
    _output(machine, "update-grub")
    _output(machine, "grub-install --target=i386-pc /dev/vda")
    assert "audit=1" in _output(machine, "cat /boot/grub/grub.cfg")


def test_it_boots_by_efi_too_and_keeps_its_identity(machine: Machine) -> None:
    before = _output(machine, "cat /etc/machine-id")
    machine.stop()
    machine.start(efi=True)
    assert _output(machine, "test -d /sys/firmware/efi && cat /etc/machine-id") == before
    assert _output(machine, "findmnt --noheadings --output FSTYPE /boot/efi") == "vfat"
