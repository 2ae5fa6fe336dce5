"""An Ansible playbook as a resource: run when its roles, variables or nodes change, on the nodes concerned."""

import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from refsys.infra import paths, ssh
from refsys.infra.managed import DRIFT, Managed, Properties
from refsys.infra.toolchain import ensure_tool

PLAYBOOKS = paths.CHECKOUT / "playbooks"
SOURCES = (
    paths.CHECKOUT / "platform" / "roles",
    paths.CHECKOUT / "security" / "roles",
    paths.CHECKOUT / "monitoring" / "roles",
    paths.CHECKOUT / "security" / "compliance" / "waivers.yml",
    *(paths.CHECKOUT / "security" / "rules" / program for program in ("falco", "suricata", "wazuh")),
    paths.CHECKOUT / "platform" / "images" / "files" / "clamav" / "usr",
    PLAYBOOKS,
)
"""What playbooks are made of: folders, and what roles read beside."""
SECRETS = Path(__file__).with_name("playbook_secrets")
PROBE_SECONDS = 5

Inventory = Mapping[str, Any]
"""As in an Ansible inventory file: `{"all": {"vars": {…}, "children": {…}}}`."""


class PlaybookError(Exception):
    """A playbook failed; the message names task, node and cause."""


class _PlaybookProvider(Managed):
    def identity(self, props: Properties) -> str:
        return f"{props['environment']}/{props['playbook']}"

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        for tool in props.get("tools", []):
            ensure_tool(tool)
        inventory = json.loads(props["inventory"])
        gone = sorted(set(hosts(json.loads(old["inventory"]))) - set(hosts(inventory))) if old else []
        run = PlaybookRun(props["environment"], json.loads(props["inventory"]), json.loads(props["secrets"]))
        if gone and props["remove_with"]:
            run(props["remove_with"], {"remove_nodes": gone})
        concerned = _concerned(props, old)
        if concerned != []:
            run(props["playbook"], {}, limit=concerned)
        return {"results": json.dumps({name: Path(file).read_text() for name, file in props["fetch"].items()})}

    def probe(self, props: Properties) -> str:
        """Say which of the services that the playbook set up can't be reached."""
        # Nothing in the state of an older version.
        return "; ".join(filter(None, map(_unreachable, props.get("serves", []))))


def _unreachable(service: str) -> str:
    host, _, port = service.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except OSError as error:
        return f"{service} can't be reached: {error}"
    return ""


def hosts(inventory: Inventory) -> dict[str, Any]:
    """Host variables by host, of all groups."""
    found: dict[str, Any] = {}
    for group in inventory.get("all", inventory).get("children", {}).values():
        found |= group.get("hosts", {}) | hosts({"all": group})
    return found


def login(variables: Mapping[str, Any], *options: str) -> list[str]:
    """The command that runs another one on a node, logged in as Ansible is; `variables` are the host's."""
    given = [*options, *shlex.split(variables["ansible_ssh_common_args"])]
    user = f"{variables['ansible_user']}@{variables['ansible_host']}"
    port = ["-p", str(variables["ansible_port"])] if "ansible_port" in variables else []
    return ["ssh", "-i", variables["ansible_ssh_private_key_file"], *port, *given, user]


def _concerned(props: Properties, old: Properties | None) -> list[str] | None:
    """The hosts to run on: new and changed ones; all (None) where more changed or a service is away."""
    if not old or old.get(DRIFT) or any(old.get(key) != props[key] for key in ("digest", "secrets", "playbook")):
        return None
    before, after = json.loads(old["inventory"]), json.loads(props["inventory"])
    if before["all"].get("vars") != after["all"].get("vars"):
        return None
    known = hosts(before)
    return sorted(name for name, variables in hosts(after).items() if known.get(name) != variables)


class PlaybookRun:
    """Runs playbooks against one inventory of an environment; everything they print goes to a log file."""

    def __init__(self, environment: str, inventory: Inventory, secrets: Mapping[str, str]) -> None:
        """Write the inventory where operators find it; secrets are never in a file on a disk."""
        self.home = paths.environment_home(environment)
        self.inventory_file = self.home / "inventory.yml"
        self.secrets = secrets
        self.inventory = inventory
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        paths.write_private(self.inventory_file, json.dumps(inventory, indent=2) + "\n")
        paths.write_private(self.home / "known_hosts", known_hosts(inventory))

    def __call__(self, playbook: str, variables: Mapping[str, Any], limit: list[str] | None = None) -> None:
        """Run `playbooks/<playbook>.yml`.

        Raises:
            PlaybookError: with the failed tasks, and where the whole log is.
        """
        options = [f"--extra-vars={json.dumps(variables)}", *([f"--limit={','.join(limit)}"] if limit else [])]
        self._run(playbook, options, {}, self.home / "logs" / f"{playbook}.log")

    def check(self, playbook: str, environment: Mapping[str, str], log: Path) -> None:
        """Let `playbooks/<playbook>.yml` say what it would change; the log may hold secrets that differ.

        `environment` are more variables of Ansible's process.

        Raises:
            PlaybookError: with the tasks that could not say it.
        """
        self._run(playbook, ["--check", "--diff"], environment, log)

    def _run(self, playbook: str, options: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        secret_inventory = {"all": {"vars": dict(self.secrets)}, "_meta": {"hostvars": {}}}
        with paths.in_memory("secrets", json.dumps(secret_inventory)) as secrets:
            command = [
                # Ansible leaves the process group of those who started it, and would work on when they are killed.
                *("setpriv", "--pdeathsig", "INT"),
                # The engine declares hundreds of resources meanwhile; what everything waits for are playbooks.
                *("nice", "--adjustment=-5"),
                str(Path(sys.executable).with_name("ansible-playbook")),
                f"--inventory={self.inventory_file}",
                f"--inventory={SECRETS}",
                *options,
                str(PLAYBOOKS / f"{playbook}.yml"),
            ]
            with log.open("w") as output:
                done = subprocess.run(
                    command,
                    cwd=paths.CHECKOUT,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=os.environ
                    | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "REFSYS_PLAYBOOK_SECRETS": str(secrets)}
                    | dict(environment),
                    check=False,
                )
        if done.returncode:
            raise PlaybookError(f"playbook {playbook} failed:\n{failures(log.read_text())}\n  whole log: {log}")


def failures(log: str) -> str:
    """The failed tasks of a playbook's log: task, node and message."""
    task, found = "", []
    for line in log.splitlines():
        if match := re.match(r"TASK \[(.*)\] \*", line):
            task = match.group(1)
        elif match := re.match(r"(?:fatal|failed): \[([^\]]+)\][^=]*=> (.*)", line):
            found.append(f"    {match.group(1)}: {task}\n      {_reason(match.group(2))}")
    return "\n".join(found) or "\n".join("    " + line for line in log.splitlines()[-10:])


def _reason(text: str) -> str:
    try:
        result = json.loads(text)
    except json.JSONDecodeError:
        return text[:800]
    parts = [str(result[key]).strip() for key in ("msg", "stderr", "stdout") if result.get(key)]
    return "\n      ".join("\n".join(parts).splitlines()[-20:])[:2000]


def known_hosts(inventory: Inventory) -> str:
    """The hosts' keys, as ssh reads them."""
    lines = [
        f"{ssh.known_host(host['ansible_host'], int(host.get('ansible_port', ssh.PORT)))} {host['node_host_key']}"
        for host in hosts(inventory).values()
    ]
    return "\n".join(sorted(lines)) + "\n"


def _digest() -> str:
    """Identity of all roles and playbooks, and of what they read."""
    sha = hashlib.sha256()
    for source in SOURCES:
        for file in sorted(path for path in (source, *source.rglob("*")) if path.is_file()):
            sha.update(str(file.relative_to(paths.CHECKOUT)).encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:16]


class Playbook(Resource, module="refsys", name="Playbook"):
    """A playbook that has been run on the environment's nodes."""

    results: pulumi.Output[str]

    def __init__(
        self,
        playbook: str,
        *,
        environment: str,
        inventory: pulumi.Input[Inventory],
        secrets: Mapping[str, pulumi.Input[str]],
        fetch: Mapping[str, str] | None = None,
        serves: Sequence[str] = (),
        remove_with: str = "",
        tools: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Run `playbooks/<playbook>.yml`.

        `secrets` are variables that stay out of the inventory file. `fetch` names files that the playbook leaves on
        this machine; their contents are read into `results`. Where a service of `serves` (host:port) is found
        away, the playbook is run again on all nodes. `remove_with` is the playbook that takes leave of
        nodes that are no longer in the inventory. `tools` are those whose files it copies: it waits until they are
        built.
        """
        secret = pulumi.ResourceOptions(additional_secret_outputs=["secrets", "results"])
        super().__init__(
            _PlaybookProvider(),
            playbook,
            {
                "environment": environment,
                "playbook": playbook,
                "inventory": pulumi.Output.json_dumps(inventory, sort_keys=True),
                "secrets": pulumi.Output.secret(pulumi.Output.json_dumps(secrets, sort_keys=True)),
                "fetch": dict(fetch or {}),
                "serves": list(serves),
                "remove_with": remove_with,
                "tools": list(tools),
                "digest": _digest(),
                "results": None,
            },
            pulumi.ResourceOptions.merge(opts, secret),
        )

    def result(self, name: str) -> pulumi.Output[str]:
        """Content of the fetched file called `name`, as a secret."""
        return pulumi.Output.secret(self.results.apply(lambda text: str(json.loads(text)[name])))
