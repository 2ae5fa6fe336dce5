"""What an outside client of an environment needs, as the stack wrote it down."""

import json
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from refsys.infra import paths

FILE = "endpoints.json"


def read(environment: str) -> dict[str, Any]:
    """The environment's endpoints."""
    found: dict[str, Any] = json.loads(paths.file_of_running(environment, FILE).read_text())
    return found


def table(endpoints: dict[str, Any]) -> Table:
    """The endpoints for people."""
    shown = Table.grid(padding=(0, 2))
    for key, text in _lines(endpoints):
        shown.add_row(key, text)
    return shown


def _lines(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{key}.")
        elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
            yield from _lines({each["name"]: each for each in value}, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)
