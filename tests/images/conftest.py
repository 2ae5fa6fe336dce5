import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refsys.infra.toolchain import installed, load_lock
from refsys.platform.images import build
from refsys.platform.images.layers import unpack
from refsys.platform.images.recipe import load
from refsys.platform.images.store import Layer, Store

Unpack = Callable[[str], Path]


@pytest.fixture(scope="session", autouse=True)
def _needs_root() -> None:
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("needs root and mmdebstrap")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Unpack]:
    """Lay out an image's file tree; build the image first where needed."""

    def lay_out(name: str) -> Path:
        go = load(name).go
        if go and not installed(load_lock()[go.tool]):
            pytest.skip(f"tool {go.tool} is not built yet")
        manifest = json.loads(build(name).manifest_path.read_text())
        root = tmp_path / name
        root.mkdir()
        unpack(Store(), [Layer(part["digest"], "", part["size"]) for part in manifest["layers"]], root)
        return root

    yield lay_out
    for root in tmp_path.iterdir():
        shutil.rmtree(root, ignore_errors=True)
