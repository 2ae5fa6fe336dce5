"""What an outside client of an environment needs, as the stack wrote it down."""

import json
from typing import Any

from rich.table import Table

from refsys.infra import paths
from refsys.infra.errors import UserError

FILE = "endpoints.json"


def read(environment: str) -> dict[str, Any]:
    """The environment's endpoints."""
    file = paths.environment_home(environment) / FILE
    if not file.exists():
        raise UserError(f"environment {environment} is not up", fix=f"./refsys up {environment}")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def table(endpoints: dict[str, Any]) -> Table:
    """The endpoints for people."""
    shown = Table.grid(padding=(0, 2))
    for key, value in endpoints.items():
        if isinstance(value, dict):
            for inner, text in value.items():
                shown.add_row(f"{key}.{inner}", str(text))
        else:
            shown.add_row(key, str(value))
    return shown
