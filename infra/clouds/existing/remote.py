"""Commands on a machine by SSH, whose host key must be the one that is known."""

import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from refsys.infra import ssh
from refsys.infra.clouds.existing.settings import ExistingMachine
from refsys.infra.errors import UserError

CONNECT_SECONDS = 10
RUN_SECONDS = 300


@dataclass(frozen=True)
class Login:
    """How a machine is logged in to."""

    name: str
    address: str
    port: int
    user: str
    key_file: str
    host_key: str

    @classmethod
    def given(cls, machine: ExistingMachine) -> "Login":
        """As its owner gave it."""
        key_file = str(Path(machine.key_file).expanduser())
        return cls(machine.name, machine.address, machine.port, machine.user, key_file, machine.host_key)

    def own(self, environment: str) -> "Login":
        """As root, with the environment's key, which `take over` lets in."""
        return replace(self, user="root", key_file=str(ssh.key_file(environment)))

    @property
    def known_host(self) -> str:
        """The machine's line in known_hosts."""
        return f"{ssh.known_host(self.address, self.port)} {self.host_key}"


def run(login: Login, script: str, *arguments: str) -> str:
    """What a shell script prints that runs as root on the machine.

    Raises:
        UserError: says whether network, host key, key, sudo or the script is what fails, and what to do.
    """
    with tempfile.NamedTemporaryFile("w", prefix="refsys-known-hosts-") as known_hosts:
        known_hosts.write(login.known_host + "\n")
        known_hosts.flush()
        shell = ["sh", "-s", "--", *map(shlex.quote, arguments)]
        command = [
            *("ssh", "-T", "-i", login.key_file, "-p", str(login.port)),
            *("-o", f"UserKnownHostsFile={known_hosts.name}", "-o", "GlobalKnownHostsFile=/dev/null"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
            *("-o", f"ConnectTimeout={CONNECT_SECONDS}", f"{login.user}@{login.address}"),
            *(shell if login.user == "root" else ["sudo", "-n", *shell]),
        ]
        try:
            done = subprocess.run(
                command, input=script, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise UserError(
                f"machine {login.name} ({login.address}) gave no answer within {RUN_SECONDS} s",
                fix="look at its console, then run the same command again",
            ) from None
    if done.returncode:
        raise explained(login, done.stderr)
    return done.stdout


def explained(login: Login, said: str) -> UserError:
    """What the words of ssh, sudo or a script mean, and what mends it."""
    who = f"machine {login.name} ({login.user}@{login.address}, port {login.port})"
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "no reason was told")
    if re.search("Host key verification failed|IDENTIFICATION HAS CHANGED", said):
        return UserError(
            f"{who} shows another host key than the config has: it was set up anew, or another machine answers",
            fix="compare on its console: cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub; correct host_key if it is "
            "the right machine",
        )
    if "Permission denied" in said or "no such identity" in said.lower():
        return UserError(
            f"{who} refuses the key {login.key_file}: {last}",
            fix=f"check user and key_file; put the key's .pub into authorized_keys of {login.user}",
        )
    if "sudo:" in said:
        return UserError(
            f"{who}: {last}", fix=f"let {login.user} run sudo without a password (NOPASSWD), or log in as root"
        )
    if re.search("timed out|refused|No route|unreachable|Could not resolve|closed by", said):
        return UserError(
            f"{who} can't be reached by SSH: {last}",
            fix="check address and port, that the machine runs, and the firewalls between it and this machine",
        )
    return UserError(f"{who}: {last}", fix="mend the cause on the machine, then run the same command again")
