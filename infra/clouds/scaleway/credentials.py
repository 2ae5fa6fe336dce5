"""Whose API key is used, and whether there is one."""

import os
from pathlib import Path

import pulumi
import pulumiverse_scaleway as scaleway
import yaml

from refsys.infra.clouds.scaleway.settings import Scaleway
from refsys.infra.errors import UserError

KEY_VARIABLES = ("SCW_ACCESS_KEY", "SCW_SECRET_KEY")
PROJECT_VARIABLE = "SCW_DEFAULT_PROJECT_ID"
DOCS = "docs/clouds/scaleway.md"


def config_file() -> Path:
    """Scaleway's config file, where its own tools look for it."""
    if own := os.environ.get("SCW_CONFIG_PATH"):
        return Path(own)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "scw" / "config.yaml"


def check(settings: Scaleway) -> None:
    """Refuse to begin without an API key and a project.

    Raises:
        UserError: says what is missing and where it may come from.
    """
    given = _profile(settings)
    if not settings.access_key and not all(map(os.environ.get, KEY_VARIABLES)):
        missing = [name for name in ("access_key", "secret_key") if not given.get(name)]
        if missing:
            raise UserError(
                f"no API key of Scaleway: {' and '.join(KEY_VARIABLES)} are not set, and {config_file()} has no "
                f"{' and '.join(missing)}",
                fix=f"make a key in Scaleway's console (IAM, API keys) and set the variables, or write it with "
                f"`scw init` ({DOCS})",
            )
    if not (settings.project or os.environ.get(PROJECT_VARIABLE) or given.get("default_project_id")):
        raise UserError(
            f"no project of Scaleway: neither refsys:scaleway.project nor {PROJECT_VARIABLE} is set, and "
            f"{config_file()} has no default_project_id",
            fix=f"pulumi config set --path refsys:scaleway.project ID (best a project of its own, {DOCS})",
        )


def _profile(settings: Scaleway) -> dict[str, str]:
    """The profile of the config file that is used; empty where there is no file."""
    file = config_file()
    try:
        document = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        document = {}
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}", fix=f"correct {file}") from None
    name = settings.profile or os.environ.get("SCW_PROFILE") or document.get("active_profile")
    if not name:
        return dict(document)
    profiles = document.get("profiles") or {}
    if name not in profiles:
        raise UserError(
            f"{file} has no profile {name}, but {', '.join(sorted(profiles)) or 'none at all'}",
            fix="correct refsys:scaleway.profile, SCW_PROFILE or the file",
        )
    return {**document, **profiles[name]}


def provider(settings: Scaleway) -> scaleway.Provider:
    """Scaleway's API, with the key of the stack's config, the environment or a profile; in the state it is a secret."""
    secret = settings.secret_key
    return scaleway.Provider(
        "scaleway",
        access_key=pulumi.Output.secret(settings.access_key) if settings.access_key else None,
        secret_key=pulumi.Output.secret(secret.get_secret_value()) if secret else None,
        profile=settings.profile,
        project_id=settings.project,
        region=settings.region,
        zone=settings.zone,
    )
