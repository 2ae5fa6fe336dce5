"""The routing file, and the secrets and authorities that it points at (docs/routing.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

ROUTING_FILE = "routing.yaml"
_CA_FILE = "ca.crt"


@dataclass(frozen=True)
class RoutingRemote:
    """A storage system, in rclone's terms; `secrets` are options that hold one."""

    name: str
    type: str
    options: Mapping[str, str | int | bool] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Routing:
    """What the router does: rules over remotes, which show certificates of `ca_pem`, if not public ones."""

    remotes: Sequence[RoutingRemote] = ()
    rules: Sequence[Mapping[str, Any]] = ()
    ca_pem: pulumi.Input[str] | None = None


def routing_files(routing: Routing, directory: str, secrets_directory: str) -> dict[str, pulumi.Input[str]]:
    """Return the routing file and the authorities that lie beside it in `directory`."""
    document: dict[str, Any] = {
        "remotes": [_entry(remote, secrets_directory) for remote in routing.remotes],
        "rules": [dict(rule) for rule in routing.rules],
    }
    files: dict[str, pulumi.Input[str]] = {}
    if routing.ca_pem is not None:
        files[_CA_FILE] = routing.ca_pem
        document["ca_file"] = f"{directory}/{_CA_FILE}"
    # JSON is YAML.
    files[ROUTING_FILE] = pulumi.Output.json_dumps(document, indent=1)
    return files


def routing_secrets(routing: Routing) -> dict[str, pulumi.Input[str]]:
    """Return the remotes' secrets as files."""
    return {f"{remote.name}.{option}": value for remote in routing.remotes for option, value in remote.secrets.items()}


def _entry(remote: RoutingRemote, secrets_directory: str) -> dict[str, Any]:
    secrets = {option: f"{secrets_directory}/{remote.name}.{option}" for option in remote.secrets}
    return {"name": remote.name, "type": remote.type, "options": dict(remote.options), "secret_files": secrets}
