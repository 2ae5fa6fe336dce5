"""Logins as operators come: on connections of their own, with a key of a file."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = FOLDER / "inventory" / "environment.yml"


def variables() -> dict[str, Any]:
    """Variables of the scenario."""
    return dict(yaml.safe_load(INVENTORY.read_text())["all"]["vars"])


@dataclass(frozen=True)
class Way:
    """A way into the node."""

    user: str
    key: str
    address: str

    def run(self, command: str, *options: str, text: str = "", seconds: float = 20) -> subprocess.CompletedProcess[str]:
        """Run a command over a new connection; an exit code of 255 says that there was none."""
        ssh = [
            *("ssh", "-o", "ControlPath=none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=4"),
            *("-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={FOLDER / 'known_hosts'}"),
            *("-i", self.key, *options, f"{self.user}@{self.address}", command),
        ]
        return subprocess.run(ssh, input=text, capture_output=True, text=True, check=False, timeout=seconds)

    @property
    def open(self) -> bool:
        """Whether a login works."""
        return self.run("true").returncode == 0


def playbook(name: str, **values: Any) -> subprocess.CompletedProcess[str]:
    """Run `playbooks/<name>.yml` on the scenario's node with other values of variables."""
    extra = [f"--extra-vars={yaml.safe_dump(values, default_flow_style=True, width=10**6)}"] if values else []
    root = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
    command = ["ansible-playbook", f"--inventory={INVENTORY}", *extra, str(root / "playbooks" / f"{name}.yml")]
    # Molecule's own settings go with its environment.
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
