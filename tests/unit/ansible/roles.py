"""The roles as files: their specifications, defaults and tasks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[3]
FOLDERS = tuple(CHECKOUT / part / "roles" for part in ("platform", "security", "monitoring"))


def names() -> list[str]:
    """Names of all roles."""
    found = [folder.name for roles in FOLDERS for folder in roles.glob("*") if (folder / "tasks").is_dir()]
    assert len(found) == len(set(found)), "Ansible finds roles by name: each may be there once"
    return sorted(found)


def folder(role: str) -> Path:
    """Folder of a role."""
    return next(roles / role for roles in FOLDERS if (roles / role).is_dir())


def specification(role: str) -> dict[str, Any]:
    """Entry points of a role with their options."""
    document: dict[str, Any] = yaml.safe_load((folder(role) / "meta/argument_specs.yml").read_text())
    return dict(document["argument_specs"])


def defaults(role: str) -> dict[str, Any]:
    """Default values of a role's variables."""
    return dict(yaml.safe_load((folder(role) / "defaults/main.yml").read_text()) or {})


def files(pattern: str) -> Iterator[Path]:
    """Files of all roles that match, relative to a role."""
    for role in names():
        yield from sorted(folder(role).glob(pattern))
