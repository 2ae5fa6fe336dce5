import os
import tarfile
from pathlib import Path

import pytest

from refsys.platform.images.layers import BIND_LOW_PORTS, changes, snapshot, unpack, write_layer
from refsys.platform.images.store import EPOCH, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def tree(root: Path) -> Path:
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/a").write_text("a")
    (root / "usr/bin/b").hardlink_to(root / "usr/bin/a")
    (root / "bin").symlink_to("usr/bin")
    (root / "data").mkdir()
    os.chown(root / "data", 999, 999)
    return root


def test_same_files_same_digest_whenever_they_were_made(store: Store, tmp_path: Path) -> None:
    first, second = tree(tmp_path / "first"), tree(tmp_path / "second")
    os.utime(second / "usr/bin/a", (1, 1))
    assert write_layer(store, first, []) == write_layer(store, second, [])


def test_times_are_fixed_and_owners_kept(store: Store, tmp_path: Path) -> None:
    layer = write_layer(store, tree(tmp_path / "tree"), [], capabilities={"/usr/bin/a": BIND_LOW_PORTS})
    plain = tmp_path / "layer.tar"
    os.system(f"zstd -dq {store.blob(layer.digest)} -o {plain}")  # noqa: S605
    with tarfile.open(plain) as tar:
        members = {member.name: member for member in tar}
    assert {member.mtime for member in members.values()} == {EPOCH}
    assert list(members) == sorted(members)
    assert (members["data"].uid, members["data"].gid) == (999, 999)
    assert members["usr/bin/b"].islnk()
    assert members["usr/bin/a"].pax_headers["SCHILY.xattr.security.capability"] == BIND_LOW_PORTS


def test_changes_are_by_content_and_removals_become_whiteouts(store: Store, tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    (root / "data/sub").mkdir()
    (root / "data/sub/file").touch()
    base = write_layer(store, root, [])
    before = snapshot(root)
    (root / "usr/bin/a").write_text("a")
    os.utime(root / "usr/bin/a")
    (root / "new").write_text("new")
    (root / "data/sub/file").unlink()
    (root / "data/sub").rmdir()
    names, removed = changes(root, before)
    assert (names, removed) == (["new"], ["data/sub"])
    result = tmp_path / "result"
    result.mkdir()
    unpack(store, [base, write_layer(store, root, [], names=names, removed=removed)], result)
    assert snapshot(result) == snapshot(root)


def test_traces_of_a_build_stay_out(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name in ("var/log/dpkg.log", "etc/machine-id", "usr/lib/x.pyc", "etc/passwd-", "etc/passwd"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    layer = write_layer(store, root, [], of_tree=True)
    result = tmp_path / "result"
    result.mkdir()
    unpack(store, [layer], result)
    assert [str(p.relative_to(result)) for p in result.rglob("*") if p.is_file()] == ["etc/passwd"]


def test_killed_builds_leave_no_work_folder(store: Store) -> None:
    left = store.root / "work/999999999.abc.d"
    left.mkdir()
    with store.scratch() as work:
        assert work.is_dir()
        assert not left.exists()
    assert not work.exists()
