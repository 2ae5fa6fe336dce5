"""The roles as files: their specifications, defaults and tasks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[3]
ROLES = CHECKOUT / "platform" / "roles"


def names() -> list[str]:
    """Names of all roles."""
    return sorted(folder.name for folder in ROLES.iterdir() if (folder / "tasks").is_dir())


def specification(role: str) -> dict[str, Any]:
    """Entry points of a role with their options."""
    document: dict[str, Any] = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    return dict(document["argument_specs"])


def defaults(role: str) -> dict[str, Any]:
    """Default values of a role's variables."""
    return dict(yaml.safe_load((ROLES / role / "defaults/main.yml").read_text()) or {})


def files(pattern: str) -> Iterator[Path]:
    """Files of all roles that match, relative to a role."""
    for role in names():
        yield from sorted((ROLES / role).glob(pattern))
