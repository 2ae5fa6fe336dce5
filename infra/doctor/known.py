"""The secrets of an environment: what the stack's state marks as such, and what lies in files."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation

from refsys.infra import paths
from refsys.infra.cli import engine
from refsys.infra.plan.values import IS_SECRET, SIGNATURE

PUBLIC_LENGTH = 16
SECRET_NAME = re.compile(r"(?i)pass|secret|token|credential|pwd|key$|key[_.-]")
PLACE = re.compile(r"^(?:https?://[^@\s]+|[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?(?:/\S*)?|/[a-z][\w.-]*(?:/[\w.-]+)+)$")
"""An address, the name of a host or of an image, or a file: no secret by itself."""
PRIVATE_KEYS = ("password", "client-key-data", "token")

Document = dict[str, Any]


def state(environment: str) -> Document:
    """The stack's state with its secrets in plain text, for this process alone; empty where there is none."""
    os.environ.update(engine.variables())
    options = automation.LocalWorkspaceOptions(work_dir=str(paths.CHECKOUT))
    try:
        stack = automation.select_stack(environment, work_dir=str(paths.CHECKOUT), opts=options)
    except automation.StackNotFoundError:
        return {}
    return dict(stack.export_stack().deployment or {})


def of_state(deployment: Document) -> set[str]:
    """Every secret string of a state."""
    secret: set[str] = set()
    public: set[str] = set()
    _walk(deployment, secret, public)
    # A name that also stands in the open is no secret, unless it is too long for a name.
    return {value for value in secret if value not in public or not (len(value) < PUBLIC_LENGTH or PLACE.match(value))}


def of_files(environment: str) -> set[str]:
    """The secrets in the environment's folder, and the passphrase of its state."""
    home = paths.environment_home(environment)
    found: set[str] = set()
    for file in (*home.glob("ssh/*"), *home.glob("demo/*.key"), paths.home() / "pulumi" / "passphrase"):
        if file.is_file() and file.suffix != ".pub":
            found |= {file.read_text(errors="replace").strip()}
    for file in (home / "endpoints.json", *home.glob("kubeconfig*")):
        found |= set(_named(_document(file)))
    return found


def open_outputs(deployment: Document) -> Document:
    """The stack's outputs that are no secrets."""
    for resource in deployment.get("resources", []):
        if resource["type"] == "pulumi:pulumi:Stack":
            return {key: value for key, value in (resource.get("outputs") or {}).items() if not _is_secret(value)}
    return {}


def resources(deployment: Document) -> list[Document]:
    """The resources by name and time, without anything of what they hold."""
    kept = ("urn", "id", "created", "modified", "external", "pendingReplacement", "taint")
    found = [{key: each[key] for key in kept if key in each} for each in deployment.get("resources", [])]
    pending = deployment.get("pending_operations") or []
    return found + [{"pending": each.get("type"), "urn": each.get("resource", {}).get("urn")} for each in pending]


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and value.get(SIGNATURE) == IS_SECRET


def _walk(value: object, secret: set[str], public: set[str]) -> None:
    if _is_secret(value) and isinstance(value, dict):
        plain = _parsed(value.get("plaintext", ""))
        document = _parsed(plain) if isinstance(plain, str) else plain
        secret |= {plain} if isinstance(plain, str) else set()
        secret |= set(_within(document)) if isinstance(document, dict | list) else set()
    elif isinstance(value, dict):
        for inner in value.values():
            _walk(inner, secret, public)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner, secret, public)
    elif isinstance(value, str):
        public.add(value)


def _within(value: object, name: str = "") -> Iterator[str]:
    """Secrets in a document that is secret as a whole, and in the documents that are strings in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _within(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _within(inner, name)
    elif isinstance(value, str):
        inner = _parsed(value)
        if isinstance(inner, dict | list):
            yield from _within(inner, name)
        elif SECRET_NAME.search(name) or (len(value) >= PUBLIC_LENGTH and not PLACE.match(value)):
            yield value


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _document(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError):
        return None


def _named(value: object) -> Iterator[str]:
    """Strings under a name that says that they are secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in PRIVATE_KEYS and isinstance(inner, str):
                yield inner
            else:
                yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
