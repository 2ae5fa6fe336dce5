import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refsys.platform.images import build
from refsys.platform.images.layers import unpack
from refsys.platform.images.store import Layer, Store

Unpack = Callable[[str], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Unpack]:
    """Lay out an image's file tree; build the image first where needed."""

    def lay_out(name: str) -> Path:
        manifest = json.loads(build(name).manifest_path.read_text())
        root = tmp_path / name
        root.mkdir()
        unpack(Store(), [Layer(part["digest"], "", part["size"]) for part in manifest["layers"]], root)
        return root

    yield lay_out
    for root in tmp_path.iterdir():
        shutil.rmtree(root, ignore_errors=True)
