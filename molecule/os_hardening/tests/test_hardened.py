"""What the role promises, and what it forbids, tried."""

import re

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("path", ["/tmp", "/var/tmp", "/dev/shm", "/home"])  # noqa: S108
def test_programs_do_not_run_where_everybody_writes(host: Host, path: str) -> None:
    program = f"{path}/tried"
    host.run_expect([0], f"install -m 0755 /bin/true {program}")
    try:
        assert host.run(program).rc == 126
    finally:
        host.run(f"rm {program}")


def test_programs_do_not_raise_rights_where_users_write(host: Host) -> None:
    for path in ("/tmp", "/var/tmp", "/home", "/opt", "/srv"):  # noqa: S108
        options = host.check_output(f"findmnt --noheadings --output VFS-OPTIONS {path} | tail -n 1").split(",")
        assert {"nosuid", "nodev"} <= set(options), path


def test_forbidden_modules_are_not_loaded(host: Host) -> None:
    for module in ("cramfs", "usb-storage", "dccp", "firewire-core"):
        assert "install /bin/false" in host.check_output(f"modprobe --show-depends {module} 2>&1 || true") or (
            f"install {module} /bin/false" in host.file("/etc/modprobe.d/60-hardening.conf").content_string
        )


def test_the_profile_keeps_what_kubernetes_needs(host: Host) -> None:
    keys = host.file("/etc/sysctl.d/99-refsys-hardening.conf").content_string
    assert "ip_forward" not in keys
    assert "arp_ignore" not in keys
    modules = host.file("/etc/modprobe.d/60-hardening.conf").content_string
    assert not re.search(r"install (overlay|br_netfilter|vxlan|nf_conntrack) ", modules)
    assert "noexec" not in host.check_output("findmnt --noheadings --output VFS-OPTIONS --target /var/lib")
    assert "noexec" not in host.check_output("findmnt --noheadings --output VFS-OPTIONS --target /opt")


def test_network_keys_of_the_node_are_set(host: Host) -> None:
    for key, value in {
        "net.ipv4.conf.all.rp_filter": 1,
        "net.ipv4.conf.all.log_martians": 1,
        "net.ipv6.conf.all.accept_ra": 0,
    }.items():
        assert host.sysctl(key) == value


def test_the_firewall_drops_what_no_rule_names_and_leaves_other_tables_alone(host: Host) -> None:
    host.run_expect([0], "nft add table ip calico_probe")
    try:
        rules = host.check_output("nft --stateless list table inet refsys_host")
        assert "policy drop" in rules
        assert "tcp dport 6443" in rules
        host.run_expect([0], "systemctl restart refsys-firewall.service")
        assert "calico_probe" in host.check_output("nft list tables")
    finally:
        host.run("nft delete table ip calico_probe")


def test_the_firewall_puts_back_what_was_changed_by_hand(host: Host) -> None:
    before = host.check_output("nft --stateless list table inet refsys_host")
    host.run_expect([0], "nft add rule inet refsys_host input tcp dport 9999 accept")
    host.run_expect([0], "/usr/local/sbin/refsys-firewall try 30")
    host.run_expect([0], "/usr/local/sbin/refsys-firewall confirm")
    assert host.check_output("nft --stateless list table inet refsys_host") == before


def test_weak_passwords_are_refused(host: Host) -> None:
    host.run_expect([0], "useradd weak")
    try:
        assert host.run("echo 'weak:password1' | chpasswd").rc != 0
        host.run_expect([0], "echo 'weak:Vk3-pQz8.Lm2_Rt6x' | chpasswd")
        assert host.check_output("getent shadow weak").startswith("weak:$6$rounds=65536$")
    finally:
        host.run("userdel --remove weak")


def test_nobody_uses_su(host: Host) -> None:
    assert host.run("runuser -u operator -- su -c id root").rc != 0


def test_programs_that_raise_rights_are_few(host: Host) -> None:
    found = host.check_output("find /usr/bin /usr/sbin -xdev -perm /4000").split()
    assert sorted(found) == ["/usr/bin/passwd", "/usr/bin/sudo"]


def test_permissions_that_somebody_changed_come_back(host: Host) -> None:
    host.run_expect([0], "chmod 0666 /etc/shadow")
    host.run_expect([0], "systemd-tmpfiles --create /etc/tmpfiles.d/60-hardening.conf")
    assert host.file("/etc/shadow").mode == 0o640


def test_core_dumps_are_not_kept(host: Host) -> None:
    assert "hard core 0" in host.file("/etc/security/limits.d/60-hardening.conf").content_string
    assert host.file("/etc/systemd/coredump.conf").contains("Storage=none")


def test_the_audit_rules_are_gathered_but_not_loaded_on_a_container_node(host: Host) -> None:
    rules = host.file("/etc/audit/audit.rules").content_string
    assert "-a always,exit -F path=/usr/bin/sudo -F perm=x -F auid>=1000 -F auid!=unset -k privileged" in rules
    assert not host.service("auditd").is_running
    assert "auditd" not in host.check_output("systemctl list-units --failed --plain --no-legend || true")


def test_aide_notices_a_changed_file(host: Host) -> None:
    host.run_expect([0], "systemctl start aide-database.service")
    path = "/usr/local/sbin/refsys-firewall"
    host.run_expect([0], f"cp --preserve=all {path} /root/kept && echo '# changed' >>{path}")
    try:
        found = host.run("aide --config=/etc/aide/aide.conf --check --limit=/usr/local/sbin")
        assert found.rc != 0
        assert path in found.stdout
    finally:
        host.run(f"mv /root/kept {path}")


def test_no_unit_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_idle_shells_end(host: Host) -> None:
    assert host.check_output("bash --login -c 'echo $TMOUT $(umask)'") == "600 0027"
