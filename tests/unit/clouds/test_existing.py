"""Machines that somebody else made: what is read, refused and asked before they are touched."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.clouds.test_contract import CONFIGS, MACHINES

from refsys.infra import ssh
from refsys.infra.clouds.existing import facts, remote, resources
from refsys.infra.clouds.existing.remote import Login
from refsys.infra.clouds.existing.settings import Existing, ExistingMachine
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError

NOW = 1_700_000_000.0
GOOD = {
    "system": "debian 12",
    "name": "Debian GNU/Linux 12 (bookworm)",
    "machine": "x86_64",
    "init": "systemd",
    "python": "/usr/bin/python3",
    "time": "1700000003",
    "free_gib": "30",
    "memory_mib": "7900",
    "environment": "",
    "cluster": "",
    "containers": "",
    "ports": "22 ",
}
WORKER = ExistingMachine.model_validate(MACHINES[1])
LOGIN = Login.given(WORKER)
INVENTORY = {
    "all": {
        "vars": {"ansible_user": "debian", "ansible_ssh_private_key_file": "~/.ssh/id_ed25519"},
        "children": {
            "kubernetes": {
                "children": {
                    "control_plane": {
                        "hosts": {"m1": {"ansible_host": "192.0.2.10", "node_host_key": "ssh-ed25519 AAAA"}}
                    },
                    "worker": {
                        "vars": {"ansible_port": 2222},
                        "hosts": {
                            "m2": {
                                "ansible_host": "192.0.2.11",
                                "node_host_key": "ssh-ed25519 BBBB",
                                "ansible_user": "root",
                            }
                        },
                    },
                }
            }
        },
    }
}


def _existing(**changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"cloud": "existing", **CONFIGS["existing"]}
    return {**config, "existing": {**config["existing"], **changes}}


def test_machines_come_from_an_ansible_inventory(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text(yaml.safe_dump(INVENTORY))
    settings = Existing.model_validate({"inventory": str(file), "entrance": "192.0.2.1"})
    one, two = settings.machines
    assert (one.name, one.role, one.user, one.port) == ("m1", "control_plane", "debian", 22)
    assert (two.name, two.role, two.user, two.port, two.host_key) == ("m2", "worker", "root", 2222, "ssh-ed25519 BBBB")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"cloud": "existing"}, ["existing", "settings of the chosen cloud are missing", "set refsys:existing"]),
        (_existing(machines=[]), ["no machines are given"]),
        (_existing(machines=MACHINES[:1]), ["no machine with role worker"]),
        (_existing(machines=[*MACHINES, MACHINES[1]]), ["two machines have the name b"]),
        (_existing(machines=[MACHINES[0], {**MACHINES[1], "address": "192.0.2.10"}]), ["the address 192.0.2.10"]),
        (_existing(machines=[MACHINES[0], {**MACHINES[1], "host_key": "sure"}]), ["host_key", "'sure'"]),
        (_existing(inventory="hosts.yml"), ["not in both"]),
        (_existing(inventory="/nowhere.yml", machines=[]), ["/nowhere.yml can't be read"]),
        ({**_existing(), "cidr": "10.1.2.0/24"}, ["does not hold machine a (192.0.2.10)", "refsys:cidr"]),
        ({**_existing(), "cloud": "local", "cidr": "10.1.2.0/24"}, ["existing: settings of a cloud", "local"]),
    ],
)
def test_wrong_settings_name_field_and_fix(config: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        Environment.parse("t", config)
    for word in words:
        assert word in str(error.value)


def test_a_good_machine_has_no_problem() -> None:
    assert facts.problems("t", WORKER, GOOD, NOW) == []
    ours = {**GOOD, "environment": "t", "cluster": "/etc/kubernetes/kubelet.conf", "ports": "10250 ", "free_gib": "2"}
    assert facts.problems("t", WORKER, ours, NOW) == []


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ({"system": "ubuntu 22.04", "name": "Ubuntu 22.04 LTS"}, ["b (192.0.2.11) runs Ubuntu", "Debian 12"]),
        ({"machine": "aarch64"}, ["aarch64"]),
        ({"init": "sh"}, ["systemd"]),
        ({"python": ""}, ["apt-get install python3"]),
        ({"time": "1699990000"}, ["10000 s behind", "NTP"]),
        ({"free_gib": "3"}, ["3 GiB free", "15 GiB"]),
        ({"memory_mib": "1000"}, ["1000 MiB", "3800 MiB"]),
        ({"environment": "other"}, ["environment other", "./refsys down other"]),
        ({"cluster": "/etc/kubernetes/kubelet.conf"}, ["another Kubernetes cluster", "kubeadm reset"]),
        ({"containers": "/var/lib/docker "}, ["containers of its own (/var/lib/docker)"]),
        ({"ports": "22 10250 "}, ["port 10250", "kubelet", "ss -ltnp"]),
    ],
)
def test_what_a_machine_lacks_is_told_with_its_remedy(fact: dict[str, str], words: list[str]) -> None:
    (problem,) = facts.problems("t", WORKER, {**GOOD, **fact}, NOW)
    for word in words:
        assert word in problem


def test_all_machines_are_looked_at_and_every_problem_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    key = tmp_path / "key"
    key.touch()
    machines = [ExistingMachine.model_validate({**each, "key_file": str(key)}) for each in MACHINES]

    def run(login: Login, _: str) -> str:
        if login.name == "a":
            raise UserError("a can't be reached", fix="start it")
        return "\n".join(f"{name}={value}" for name, value in {**GOOD, "machine": "riscv64"}.items())

    with pytest.raises(UserError) as error:
        facts.check("t", machines, run)
    assert "a can't be reached" in str(error.value)
    assert "riscv64" in str(error.value)


def test_a_missing_key_is_told_before_any_machine_is_asked() -> None:
    with pytest.raises(UserError, match="key of machine b, /nowhere, is not on this machine"):
        facts.check("t", [WORKER.model_copy(update={"key_file": "/nowhere"})], lambda *_: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.",
            ["another host key"],
        ),
        ("debian@192.0.2.11: Permission denied (publickey).", ["refuses the key", "authorized_keys of debian"]),
        ("sudo: a password is required", ["NOPASSWD"]),
        ("ssh: connect to host 192.0.2.11 port 2222: Connection refused", ["can't be reached", "firewalls"]),
        ("tar: no space left", ["tar: no space left"]),
        ("", ["no reason was told"]),
    ],
)
def test_what_ssh_says_is_explained(said: str, words: list[str]) -> None:
    text = str(remote.explained(LOGIN, said))
    for word in ["machine b (debian@192.0.2.11, port 2222)", *words]:
        assert word in text


def test_a_command_takes_only_the_known_host_key(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        (known,) = (word.partition("=")[2] for word in command if word.startswith("UserKnownHostsFile="))
        seen.update(command=command, known=Path(known).read_text(), **options)
        return subprocess.CompletedProcess(command, 0, "done", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert remote.run(LOGIN, "true", "x") == "done"
    assert seen["known"] == f"[192.0.2.11]:2222 {WORKER.host_key}\n"
    assert "StrictHostKeyChecking=yes" in seen["command"]
    assert "GlobalKnownHostsFile=/dev/null" in seen["command"]
    assert seen["command"][-7:] == ["debian@192.0.2.11", "sudo", "-n", "sh", "-s", "--", "x"]
    remote.run(LOGIN.own("t"), "true")
    assert seen["command"][-4:] == ["root@192.0.2.11", "sh", "-s", "--"]
    assert str(ssh.key_file("t")) in seen["command"]


PROPS = {
    "environment": "t",
    "node": "b",
    "address": "192.0.2.11",
    "port": 2222.0,
    "user": "debian",
    "key_file": "/key",
    "host_key": WORKER.host_key,
    "public_key": "ssh-ed25519 OURS",
}


class _Machine:
    """Stands for the SSH server: lets keys in, keeps what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lets_in = {"debian"}
        self.ran: list[tuple[str, str]] = []
        monkeypatch.setattr(remote, "run", self._run)

    def _run(self, login: Login, script: str, *arguments: str) -> str:
        if login.user not in self.lets_in:
            raise UserError(f"{login.user} is refused", fix="none")
        name = "take over" if "authorized_keys" in script and "before.new" in script else script[:30]
        self.ran.append((login.user, name))
        self.lets_in.add("root")
        return "m-1\n"


def test_a_machine_is_taken_over_by_its_owners_login_and_then_by_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, provider = _Machine(monkeypatch), resources._NodeProvider()
    made = provider.create(PROPS).outs
    assert made is not None and made["instance"] == "m-1"
    assert machine.ran == [("debian", "take over"), ("root", resources.IDENTITY)]
    machine.lets_in = {"root"}
    assert provider.probe({**PROPS, "instance": "m-1"}) == ""
    assert provider.probe({**PROPS, "instance": "m-0"}) == "it was set up anew"
    machine.lets_in = set()
    assert "root is refused" in provider.probe({**PROPS, "instance": "m-1"})


def test_another_address_is_another_machine_and_another_user_is_not() -> None:
    provider = resources._NodeProvider()
    old = {**PROPS, "instance": "m-1"}
    assert provider.diff("b", old, {**PROPS, "address": "192.0.2.12"}).replaces == ["address"]
    changed = provider.diff("b", old, {**PROPS, "user": "root"})
    assert changed.changes and not changed.replaces


def test_a_removed_machine_is_released_even_when_the_environments_key_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = _Machine(monkeypatch)
    resources._NodeProvider().delete("b", {**PROPS, "instance": "m-1"})
    assert [user for user, _ in machine.ran] == ["debian"]
