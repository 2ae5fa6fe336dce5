"""What a channel's work goes on from after it was stopped: one file, replaced as a whole."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refsys.services.processors.level0.frames import Arrays

_STATE = "state"


def save(path: Path, state: Mapping[str, Any], arrays: Mapping[str, Arrays]) -> None:
    """Replace the checkpoint: values as JSON, and groups of arrays."""
    flat = {f"{group}/{name}": array for group, members in arrays.items() for name, array in members.items()}
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_STATE: np.frombuffer(json.dumps(state).encode(), np.uint8)}, **flat)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def load(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]] | None:
    """The checkpoint; None if there is none."""
    if not path.exists():
        return None
    groups: dict[str, dict[str, Any]] = {}
    with np.load(path, allow_pickle=False) as stored:
        state: dict[str, Any] = json.loads(stored[_STATE].tobytes())
        for name in stored.files:
            group, _, member = name.partition("/")
            if member:
                groups.setdefault(group, {})[member] = stored[name]
    return state, groups


def sync_folder(folder: Path) -> None:
    """Make sure that names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
