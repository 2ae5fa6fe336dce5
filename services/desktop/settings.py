"""Settings of a desktop: environment variables `REFSYS_DESKTOP_…`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "REFSYS_DESKTOP_"
SHARED, OF_USER = "shared", "user"


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable, the reason and the fix in one line."""


@dataclass(frozen=True)
class DesktopSettings:
    """What is shown, to whom, and where."""

    command: tuple[str, ...]
    """The graphical program and its arguments."""
    title: str
    shared: bool
    """One display for all; otherwise each user has one."""
    port: int = 8080
    geometry: str = "1280x800"
    """Of the display, until a browser asks for another."""
    sessions: int = 4
    """Displays at most."""
    idle_seconds: float = 3600
    """A display that nobody looked at for so long ends, with its program."""
    novnc: Path = Path("/usr/share/novnc")
    folder: Path = Path("/tmp/desktop")  # noqa: S108 - the pod's own


def read_settings(env: Mapping[str, str] = os.environ) -> DesktopSettings:
    """Return the settings.

    Raises:
        SettingsError: one is missing or wrong.
    """
    try:
        command = json.loads(env[f"{PREFIX}COMMAND"])
    except KeyError:
        raise SettingsError(f"{PREFIX}COMMAND is not set; the image's recipe names the program") from None
    except ValueError:
        command = None
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise SettingsError(f"{PREFIX}COMMAND must be a list of texts in JSON, such as '[\"xeyes\"]'")
    kind = env.get(f"{PREFIX}SESSIONS", OF_USER)
    if kind not in (SHARED, OF_USER):
        raise SettingsError(f"{PREFIX}SESSIONS is {kind!r}; it must be {SHARED} or {OF_USER}")
    return DesktopSettings(tuple(command), env.get(f"{PREFIX}TITLE", command[0]), shared=kind == SHARED)
