"""What a machine must have to become a node, and how it is asked."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from refsys.infra import ssh
from refsys.infra.clouds.existing import remote
from refsys.infra.clouds.existing.remote import Login
from refsys.infra.clouds.existing.settings import ExistingMachine
from refsys.infra.errors import UserError

DISK_GIB = 15
MEMORY_MIB = {"control_plane": 1800, "worker": 3800}
CLOCK_SECONDS = 60
PORTS = {
    "control_plane": {"5000": "registry", "6443": "Kubernetes API", "2379": "etcd", "10250": "kubelet"},
    "worker": {"10250": "kubelet"},
}
MARK = "/etc/refsys-environment"
"""File on a machine that says which environment it belongs to."""
AT_ONCE = 20

ASK = f"""
. /etc/os-release
echo "system=$ID ${{VERSION_ID:-}}"
echo "name=$PRETTY_NAME"
echo "machine=$(uname -m)"
echo "init=$(cat /proc/1/comm)"
echo "python=$(command -v python3 || true)"
echo "time=$(date +%s)"
echo "free_gib=$(df --output=avail --block-size=1G / | tail -n 1 | tr -d ' ')"
echo "memory_mib=$(awk '/^MemTotal:/ {{print int($2 / 1024)}}' /proc/meminfo)"
echo "environment=$(cat {MARK} 2>/dev/null || true)"
echo "cluster=$(ls /etc/kubernetes/kubelet.conf 2>/dev/null || true)"
echo "containers=$(ls -d /var/lib/containerd /var/lib/docker 2>/dev/null | tr '\\n' ' ')"
echo "ports=$(ss -Hltn | awk '{{print $4}}' | sed 's/.*://' | sort -u | tr '\\n' ' ')"
"""

Facts = Mapping[str, str]
Run = Callable[[Login, str], str]


def check(environment: str, machines: list[ExistingMachine], run: Run = remote.run) -> None:
    """Look at all machines at the same time.

    Raises:
        UserError: names every problem of every machine.
    """
    for machine in machines:
        if not Path(machine.key_file).expanduser().is_file():
            raise UserError(
                f"the key of machine {machine.name}, {machine.key_file}, is not on this machine",
                fix="correct key_file: the private key that logs in there",
            )

    def look(machine: ExistingMachine) -> list[str]:
        try:
            return problems(environment, machine, ask(environment, machine, run), time.time())
        except UserError as error:
            return [str(error).replace("\n", "\n    ")]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [problem for each in pool.map(look, machines) for problem in each]
    if found:
        raise UserError(
            f"machines of {environment} can't become nodes:\n" + "\n".join(f"    {problem}" for problem in found),
            fix="mend what is named, or take the machine out of refsys:existing; then run the same command again",
        )


def ask(environment: str, machine: ExistingMachine, run: Run = remote.run) -> Facts:
    """The machine's facts: as root where it is this environment's already, else as its owner gave it."""
    login = Login.given(machine)
    if ssh.key_file(environment).exists():
        try:
            return read(run(login.own(environment), ASK))
        except UserError:
            # Not taken over yet, or not any more.
            pass
    return read(run(login, ASK))


def read(text: str) -> Facts:
    """Facts by name."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def problems(environment: str, machine: ExistingMachine, facts: Facts, now: float) -> list[str]:
    """What keeps the machine from being a node, each with its remedy."""
    place = f"{machine.name} ({machine.address})"
    found = []
    if facts["system"] != "debian 12":
        found.append(f"{place} runs {facts['name']}; nodes run Debian 12: install it there")
    if facts["machine"] != "x86_64":
        found.append(f"{place} has a processor of type {facts['machine']}; images are made for x86_64")
    if facts["init"] != "systemd":
        found.append(f"{place} was started by {facts['init']}; nodes need systemd")
    if not facts["python"]:
        found.append(f"{place} has no Python, which Ansible needs: apt-get install python3 python3-apt")
    away = int(facts["time"]) - now
    if abs(away) > CLOCK_SECONDS:
        found.append(f"the clock of {place} is {abs(away):.0f} s {'ahead' if away > 0 else 'behind'}: set it, use NTP")
    # What the environment has put there already counts as room.
    ours = facts["environment"] == environment
    if not ours and int(facts["free_gib"]) < DISK_GIB:
        found.append(f"{place} has {facts['free_gib']} GiB free on /; a node needs {DISK_GIB} GiB")
    if int(facts["memory_mib"]) < MEMORY_MIB[machine.role]:
        least = MEMORY_MIB[machine.role]
        found.append(f"{place} has {facts['memory_mib']} MiB of memory; a node of this role needs {least} MiB")
    if facts["environment"] and not ours:
        found.append(f"{place} is a node of environment {facts['environment']}: ./refsys down {facts['environment']}")
    elif not ours:
        found += _clashes(machine, facts, place)
    return found


def _clashes(machine: ExistingMachine, facts: Facts, place: str) -> list[str]:
    if facts["cluster"]:
        return [f"{place} is a node of another Kubernetes cluster ({facts['cluster']}): kubeadm reset there first"]
    if facts["containers"]:
        return [
            f"{place} has containers of its own ({facts['containers'].strip()}): remove them and their program first"
        ]
    taken = set(facts["ports"].split()) & set(PORTS[machine.role])
    return [
        f"port {port} of {place}, wanted by the {PORTS[machine.role][port]}, is taken: ss -ltnp 'sport = :{port}' there"
        for port in sorted(taken, key=int)
    ]
