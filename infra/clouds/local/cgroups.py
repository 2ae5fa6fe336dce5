"""Control groups that hold a node within its size, on cgroup v1 and v2 machines."""

import os
from contextlib import suppress
from pathlib import Path

from tenacity import retry, retry_if_exception_type, stop_after_attempt

ROOT = Path("/sys/fs/cgroup")


def _hierarchies() -> list[Path]:
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [
        folder
        for folder in ROOT.iterdir()
        if folder.is_dir() and not folder.is_symlink() and (folder / "cgroup.procs").exists()
    ]


def create(machine: str, *, memory_mib: int, cpus: float) -> list[Path]:
    """Make the node's group in every hierarchy and set its limits; return the groups."""
    groups = []
    for hierarchy in _hierarchies():
        group = _made(hierarchy, machine)
        groups.append(group)
        _write(group / "memory.max", memory_mib * 2**20)
        _write(group / "cpu.max", f"{int(cpus * 100000)} 100000")
        _write(group / "memory.limit_in_bytes", memory_mib * 2**20)
        _write(group / "cpu.cfs_quota_us", int(cpus * 100000))
    return groups


# Another environment's last node takes the parent away, maybe just after it was found there.
@retry(retry=retry_if_exception_type((FileNotFoundError, FileExistsError)), stop=stop_after_attempt(20), reraise=True)
def _made(hierarchy: Path, machine: str) -> Path:
    parent = hierarchy / "refsys"
    if hierarchy.name == "cpuset":
        (hierarchy / "cgroup.clone_children").write_text("1")
    parent.mkdir(exist_ok=True)
    if (hierarchy / "cgroup.controllers").exists():
        for level in (hierarchy, parent):
            available = (level / "cgroup.controllers").read_text().split()
            for controller in {"cpu", "memory", "pids", "io", "cpuset"} & set(available):
                (level / "cgroup.subtree_control").write_text(f"+{controller}")
    group = parent / machine
    group.mkdir(exist_ok=True)
    return group


def delete(machine: str) -> None:
    """Remove the node's groups, the deepest first; their processes must have ended."""
    for hierarchy in _hierarchies():
        group = hierarchy / "refsys" / machine
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(FileNotFoundError):
                Path(folder).rmdir()
        # The parent goes with its last node; OSError says that another node is still there.
        with suppress(OSError):
            group.parent.rmdir()


def processes(machine: str) -> set[int]:
    """Every process in the node's groups. Groups that vanish meanwhile had none left."""
    found: set[int] = set()
    for hierarchy in _hierarchies():
        for folder, _, files in os.walk(hierarchy / "refsys" / machine):
            if "cgroup.procs" in files:
                with suppress(OSError):
                    found.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
    return found


def _write(file: Path, value: object) -> None:
    if file.exists():
        file.write_text(str(value))
