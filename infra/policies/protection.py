"""Environments that are not to be lost by a slip: their name has to be typed."""

import yaml

from refsys.infra.environment import SPACE, config_file
from refsys.infra.errors import UserError


def lifted(environment: str, typed: str | None) -> bool:
    """Whether the operator typed the environment's name, and so lifts its protection for this command.

    Raises:
        UserError: another name was typed.
    """
    if typed is not None and typed != environment:
        raise UserError(
            f"--unprotect {typed} does not name environment {environment}",
            fix=f"--unprotect {environment}, if that is the environment you mean",
        )
    return typed is not None


def require_removable(environment: str, typed: str | None) -> None:
    """Refuse to remove a protected environment.

    Raises:
        UserError: it is protected, and its name was not typed.
    """
    if not lifted(environment, typed) and _is_protected(environment):
        raise UserError(
            f"environment {environment} is protected (refsys:protected in {config_file(environment).name}); "
            "everything in it would be lost",
            fix=f"if that is what you want: ./refsys down {environment} --unprotect {environment}",
        )


def _is_protected(environment: str) -> bool:
    """What the config says; one that can't be read may say so. No other field matters: a wrong one is no obstacle."""
    file = config_file(environment)
    if not file.exists():
        return False
    try:
        config = (yaml.safe_load(file.read_text()) or {}).get("config") or {}
        return str(config.get(f"{SPACE}protected", False)).lower() != "false"
    except (yaml.YAMLError, AttributeError):
        return True
