"""Logins from the directory: who may, who may not, and what happens while it is away."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def variables() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "inventory" / "environment.yml").read_text())["all"]["vars"])


def ssh(host: Host, user: str, command: str = "true", *options: str, key: str = "directory_user") -> tuple[int, str]:
    """Exit code (255: no login) and output of a command over a new connection."""
    address = str(host.ansible.get_variables()["ansible_host"])
    line = [
        *("ssh", "-o", "ControlPath=none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={FOLDER / 'known_hosts'}", "-i", str(FOLDER / key)),
        *(*options, f"{user}@{address}", command),
    ]
    done = subprocess.run(line, input="", capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def sudo(host: Host, user: str, password: str, key: str = "directory_user") -> str:
    command = f"echo {shlex.quote(password)} | sudo -S -k -p '' id"
    return ssh(host, user, command, "-tt", key=key)[1]


def test_users_of_the_right_groups_log_in_with_the_keys_of_the_directory(host: Host) -> None:
    for user, number in (("anna", 30_100), ("bert", 30_101)):
        code, told = ssh(host, user, "id -u; pwd")
        assert (code, told.split()) == (0, [str(number), f"/home/{user}"])


def test_a_user_without_the_right_is_refused(host: Host) -> None:
    assert "clara" in host.check_output("getent passwd clara")
    assert ssh(host, "clara")[0] == 255
    # Also where the SSH server would take the name: PAM refuses the account.
    host.run_expect([0], "su -s /bin/true anna")
    assert "Permission denied" in host.run("su -s /bin/true clara").stderr


def test_another_key_and_a_password_do_not_log_in(host: Host) -> None:
    assert ssh(host, "anna", key="break_glass")[0] == 255
    assert ssh(host, "anna", "true", "-o", "PubkeyAuthentication=no")[0] == 255


def test_only_administrators_become_root_and_only_with_their_password(host: Host) -> None:
    right = variables()["directory_values"]["user"]
    assert "uid=0(root)" in sudo(host, "anna", right)
    assert "uid=0" not in sudo(host, "anna", "wrong")
    assert "uid=0" not in sudo(host, "bert", right)


def test_the_settings_are_closed_to_others(host: Host) -> None:
    file = host.file("/etc/sssd/sssd.conf")
    assert (file.user, file.mode) == ("root", 0o600)


@pytest.fixture
def away(host: Host) -> Any:
    """The directory is away, and sssd knows nobody any more."""
    host.run_expect([0], "systemctl kill --signal=STOP directory.service")
    yield
    host.run_expect([0], "systemctl kill --signal=CONT directory.service")


@pytest.mark.usefixtures("away")
def test_without_the_directory_local_ways_stay_open(host: Host) -> None:
    assert ssh(host, "breakglass", key="break_glass")[0] == 0
    assert "uid=0(root)" in sudo(host, "breakglass", variables()["break_glass_password"], key="break_glass")
    assert host.run("true").rc == 0


@pytest.mark.usefixtures("away")
def test_without_the_directory_who_was_there_before_still_logs_in(host: Host) -> None:
    assert ssh(host, "anna")[0] == 0


def test_local_accounts_never_come_from_the_directory(host: Host) -> None:
    assert host.check_output("getent passwd root").startswith("root:x:0:0:")
    assert host.check_output("getent -s sss passwd root || true") == ""
