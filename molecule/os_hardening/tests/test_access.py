"""Nobody is locked out who must come in; everybody else is."""

import re
import shlex
import time

from access import Way, playbook, variables
from testinfra.host import Host

BAD_FIREWALL = {"os_hardening_ssh_from": ["192.0.2.1/32"], "os_hardening_root_login_from": ["192.0.2.1/32"]}
SECONDS = 12


def _sudo(way: Way, command: str, *passwords: str) -> str:
    """What the command says with the last password, after the others were tried in the same session."""
    tries = [f"echo {shlex.quote(password)} | sudo -S -k -p '' {command}" for password in passwords]
    return way.run("; ".join(tries), "-tt").stdout


def _firewall(host: Host) -> str:
    """The rules; nft lists a set that has become one range without braces when it reads it again."""
    return re.sub(r"\{ (\S+) \}", r"\1", host.check_output("nft --stateless list table inet refsys_host"))


def test_the_controller_comes_in_by_key(controller: Way) -> None:
    assert controller.open


def test_the_break_glass_account_comes_in_by_key_and_becomes_root_by_password(break_glass: Way) -> None:
    assert break_glass.open
    assert "uid=0(root)" in _sudo(break_glass, "id", variables()["break_glass_password"])


def test_what_the_break_glass_account_does_is_written_down(break_glass: Way, host: Host) -> None:
    _sudo(break_glass, "cat /etc/refsys/firewall.rules", variables()["break_glass_password"])
    assert "breakglass" in host.file("/var/log/sudo.log").content_string
    assert "-F auid=breakglass -k breakglass" in host.file("/etc/audit/audit.rules").content_string


def test_sudo_refuses_a_wrong_password(break_glass: Way, host: Host) -> None:
    assert "uid=0" not in _sudo(break_glass, "id", "wrong")
    host.run("faillock --user breakglass --reset")


def test_three_wrong_passwords_lock_the_account_but_not_its_key(break_glass: Way, host: Host) -> None:
    right = variables()["break_glass_password"]
    try:
        assert "uid=0" not in _sudo(break_glass, "id", "wrong", "wrong", "wrong", right)
        assert break_glass.open
    finally:
        host.run("faillock --user breakglass --reset")
    assert "uid=0" in _sudo(break_glass, "id", right)


def test_passwords_do_not_log_in(break_glass: Way) -> None:
    refused = break_glass.run("true", "-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password")
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_accounts_that_are_not_named_do_not_log_in(controller: Way, host: Host) -> None:
    host.run_expect([0], "useradd --create-home stranger")
    try:
        host.run_expect([0], "install -d -o stranger /home/stranger/.ssh")
        host.run_expect([0], "install -o stranger /root/.ssh/authorized_keys /home/stranger/.ssh/authorized_keys")
        assert not Way("stranger", controller.key, controller.address).open
    finally:
        host.run("userdel --remove stranger")


def test_root_does_not_log_in_from_elsewhere(host: Host) -> None:
    elsewhere = "user=root,host=elsewhere,addr=192.0.2.1"
    assert "permitrootlogin no" in host.check_output(f"sshd -T -C {elsewhere}")


def test_a_firewall_that_locks_out_goes_away_by_itself(controller: Way, host: Host) -> None:
    before = _firewall(host)
    done = playbook("harden", os_hardening_firewall_seconds=SECONDS, **BAD_FIREWALL)
    assert done.returncode != 0
    assert "The former rules come back" in done.stderr
    time.sleep(SECONDS + 5)
    assert controller.open
    assert _firewall(host) == before
    assert "192.0.2.1" not in host.file("/etc/refsys/firewall.rules").content_string


def test_ssh_settings_that_lock_out_are_taken_back(controller: Way, host: Host) -> None:
    before = host.file("/etc/ssh/sshd_config").content_string
    done = playbook("harden", os_hardening_sshd_options={"AllowUsers": "nobody"})
    assert done.returncode != 0
    assert "The former settings are back" in done.stderr
    assert controller.open
    assert host.file("/etc/ssh/sshd_config").content_string == before


def test_ssh_settings_that_are_wrong_are_not_taken(host: Host) -> None:
    before = host.file("/etc/ssh/sshd_config").content_string
    assert playbook("harden", os_hardening_sshd_options={"Ciphers": "no-such-cipher"}).returncode != 0
    assert host.file("/etc/ssh/sshd_config").content_string == before


def test_an_inventory_that_would_lock_the_controller_out_is_refused() -> None:
    done = playbook("harden", os_hardening_root_login_from=[])
    assert done.returncode != 0
    assert "os_hardening_root_login_from is empty" in done.stderr


def test_after_all_this_the_role_puts_everything_right_and_then_changes_nothing(controller: Way) -> None:
    assert playbook("harden").returncode == 0
    again = playbook("harden")
    assert "changed=0" in again.stdout
    assert controller.open
