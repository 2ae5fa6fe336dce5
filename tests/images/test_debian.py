"""Debian packages, from nothing."""

from pathlib import Path

from refsys.platform.images import debian
from refsys.platform.images.store import Store


def test_a_package_is_unpacked_with_an_empty_cache(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (component,) = debian.extract(Store(tmp_path / "store"), root, ["hostname"])
    assert component["name"] == "hostname"
    assert (root / "bin/hostname").stat().st_mode & 0o111
