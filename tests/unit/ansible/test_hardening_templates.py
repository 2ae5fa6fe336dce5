"""The hardening's files, rendered by Ansible for each kind of node, and read by the programs that will read them."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.unit.ansible import roles

from refsys.security.compliance import catalogue, waivers
from refsys.security.compliance.waivers import Where

ROLE = roles.folder("os_hardening")
PLACES = {
    "server": [],
    "kubernetes": [Where.KUBERNETES_NODE],
    "kubernetes-container": [Where.KUBERNETES_NODE, Where.CONTAINER],
}
FSTAB = "UUID=0 / ext4 defaults 0 1\nUUID=1 /home ext4 defaults,nodev 0 2\n"


class Rendered:
    """The files of one kind of node."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    @property
    def kubernetes(self) -> bool:
        return self.kind != "server"


def _on(places: list[Where]) -> list[str]:
    off = waivers.reasons(waivers.load(), "rules", places)
    return [number for number in catalogue.load() if number not in off]


@pytest.fixture(scope="module", params=PLACES)
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    folder = tmp_path_factory.mktemp("hardening")
    places = PLACES[request.param]
    values = {
        "ansible_user": "root",
        "os_hardening_profile": "kubernetes_node" if places else "server",
        "os_hardening_shared_kernel": Where.CONTAINER in places,
        "os_hardening_root_login_from": ["192.0.2.1/32"],
        "os_hardening_ssh_users": ["operator"],
        "os_hardening_break_glass_password_hash": "$6$salt$hash",
        "os_hardening_firewall": [
            {"name": "Kubernetes API", "protocol": "tcp", "ports": ["6443"], "sources": ["0.0.0.0/0"]},
            {"name": "VXLAN", "protocol": "udp", "ports": ["4789"], "sources": ["10.1.0.0/24", "10.2.0.0/24"]},
        ],
        "_os_hardening_on": _on(places),
        "_os_hardening_fstab": {"content": base64.b64encode(FSTAB.encode()).decode()},
    }
    (folder / "values.json").write_text(json.dumps(values))
    play = {
        "hosts": "all",
        "connection": "local",
        "vars_files": [
            str(ROLE / "defaults" / "main.yml"),
            *(str(file) for file in sorted((ROLE / "vars" / "main").glob("*.yml"))),
        ],
        "tasks": [
            {
                "ansible.builtin.template": {
                    "src": str(file),
                    "dest": str(folder / file.name.removesuffix(".j2")),
                    "mode": "0600",
                }
            }
            for file in sorted((ROLE / "templates").glob("*.j2"))
        ],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    ansible = Path(sys.executable).with_name("ansible-playbook")
    command = [str(ansible), "--inventory=node,", f"--extra-vars=@{folder}/values.json", str(folder / "play.yml")]
    done = subprocess.run(command, cwd=roles.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Rendered(folder, request.param)


def test_the_firewall_is_understood_and_opens_what_the_environment_names(rendered: Rendered) -> None:
    nft = ["unshare", "--net", "nft", "--check", "--file", str(rendered.folder / "firewall.nft")]
    done = subprocess.run(nft, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rules = rendered.text("firewall.nft")
    assert "policy drop" in rules
    assert 'ip saddr { 0.0.0.0/0 } tcp dport { 6443 } accept comment "Kubernetes API"' in rules
    assert 'ip saddr { 10.1.0.0/24, 10.2.0.0/24 } udp dport { 4789 } accept comment "VXLAN"' in rules


def test_the_firewall_owns_one_table_and_empties_no_other(rendered: Rendered) -> None:
    rules = rendered.text("firewall.nft")
    assert set(re.findall(r"^(?:table|delete table|flush) (.*?)(?: \{)?$", rules, re.M)) == {"inet refsys_host"}
    assert "flush" not in rules + (ROLE / "files" / "refsys-firewall").read_text()
    assert "hook forward" not in rules


def test_root_comes_from_the_controller_only(rendered: Rendered) -> None:
    settings = rendered.text("sshd_config").splitlines()
    # The first value that fits is taken, and the exception comes with the first line.
    assert settings[0] == "Include /etc/ssh/sshd_config.d/*.conf"
    assert "PermitRootLogin no" in settings
    assert "PasswordAuthentication no" in settings
    assert "AllowUsers root operator breakglass" in settings
    assert "Match Address 192.0.2.1/32\n  PermitRootLogin prohibit-password\n" in rendered.text("sshd_root.conf")


def test_administrators_may_start_programs_by_sudo(rendered: Rendered) -> None:
    rules = rendered.text("sudoers").splitlines()
    assert "Defaults noexec" in rules
    assert {"Defaults:operator !noexec", "Defaults:breakglass !noexec"} <= set(rules)
    assert rules[-1] == "@includedir /etc/sudoers.d"


def test_a_kubernetes_node_forwards_and_a_server_does_not(rendered: Rendered) -> None:
    keys = dict(line.split(" = ") for line in rendered.text("sysctl.conf").splitlines())
    assert ("net.ipv4.ip_forward" in keys) is not rendered.kubernetes
    assert ("net.ipv4.conf.all.arp_ignore" in keys) is not rendered.kubernetes
    assert keys["kernel.kptr_restrict"] == "2"


def test_modules_of_kubernetes_are_not_forbidden(rendered: Rendered) -> None:
    forbidden = set(re.findall(r"^install (\S+) /bin/false$", rendered.text("modprobe.conf"), re.M))
    assert {"cramfs", "usb-storage", "sctp"} <= forbidden
    assert not forbidden & {"overlay", "br_netfilter", "nf_conntrack", "vxlan", "ip_tables"}


def test_mounts_of_the_image_are_left_alone(rendered: Rendered) -> None:
    lines = [line.split() for line in rendered.text("fstab").splitlines()]
    mounted = {path: options.split(",") for _, path, _, options, _, _ in lines}
    assert "/home" not in mounted
    assert {"nosuid", "nodev", "noexec", "nofail"} <= set(mounted["/tmp"])  # noqa: S108
    assert "noexec" not in mounted["/opt"]
    assert "/var" not in mounted


def test_containers_of_a_node_are_not_updated_behind_its_back(rendered: Rendered) -> None:
    settings = rendered.text("apt.conf")
    assert ("Unattended-Upgrade" in settings) is (rendered.kind != "kubernetes-container")
    assert ("^containerd$" in settings) is (rendered.kind == "kubernetes")


def test_a_node_that_cannot_audit_halts_unless_it_carries_pods(rendered: Rendered) -> None:
    assert ("disk_full_action = halt" in rendered.text("auditd.conf")) is not rendered.kubernetes


def test_audit_rules_have_a_key_and_are_not_frozen(rendered: Rendered) -> None:
    lines = [line for line in rendered.text("audit.rules").splitlines() if line and not line.startswith("#")]
    settings = [line for line in lines if line[:2] in ("-b", "-f")]
    assert all(re.search(r" -k [\w-]+$", line) for line in lines if line not in settings)
    assert "-e 2" not in lines
    assert any("-F auid=breakglass -k breakglass" in line for line in lines)


def test_pam_locks_checks_and_remembers(rendered: Rendered) -> None:
    auth = [line.split()[-2:] for line in rendered.text("common-auth").splitlines() if line.startswith("auth")]
    assert [module for module in auth if "pam_faillock.so" in module] == [
        ["pam_faillock.so", "preauth"],
        ["pam_faillock.so", "authfail"],
        ["pam_faillock.so", "authsucc"],
    ]
    assert "nullok" not in rendered.text("common-auth")
    password = rendered.text("common-password")
    assert re.search(r"pam_pwhistory.so remember=24 enforce_for_root use_authtok", password)
    assert re.search(r"pam_unix.so obscure use_authtok try_first_pass sha512 rounds=65536", password)
