"""Control groups of a node, on a tree that looks like the kernel's."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refsys.infra.clouds.local import cgroups


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("memory", "cpu"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def test_processes_of_all_levels(root: Path) -> None:
    for folder, pids in {
        "memory/refsys/n1": "",
        "memory/refsys/n1/pod": "7\n8\n",
        "cpu/refsys/n1/pod": "8\n9\n",
    }.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "cgroup.procs").write_text(pids)
    assert cgroups.processes("n1") == {7, 8, 9}
    assert cgroups.processes("n2") == set()


def test_a_group_that_vanishes_is_no_error(root: Path) -> None:
    (root / "memory/refsys/n1").mkdir(parents=True)
    (root / "memory/refsys/n1/cgroup.procs").symlink_to(root / "gone")
    assert cgroups.processes("n1") == set()


def test_delete_leaves_other_nodes(root: Path) -> None:
    for folder in ("memory/refsys/n1/a/b", "cpu/refsys/n1", "memory/refsys/n2"):
        (root / folder).mkdir(parents=True)
    cgroups.delete("n1")
    cgroups.delete("n1")
    assert not (root / "memory/refsys/n1").exists()
    assert (root / "memory/refsys/n2").exists()
    assert not (root / "cpu/refsys").exists()


def test_nodes_that_come_while_others_go(root: Path) -> None:
    def come_and_go(machine: str) -> None:
        for _ in range(100):
            for group in cgroups.create(machine, memory_mib=1, cpus=1):
                assert group.is_dir()
            cgroups.delete(machine)

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(come_and_go, ("n1", "n2", "n3")):
            pass
    assert not (root / "memory/refsys").exists()
