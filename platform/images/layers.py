"""Turn file trees into layer blobs that depend on nothing but the files, and back."""

import hashlib
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import IO

from refsys.infra.errors import UserError
from refsys.platform.images.store import EPOCH, Json, Layer, Store

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
WHITEOUT = ".wh."

# Traces of the build: they differ from run to run and no program of the image needs them.
VOLATILE = (
    *("var/log/*", "var/cache/*", "var/lib/apt/*", "var/tmp/*", "tmp/*", "run/*", "proc/*", "sys/*", "dev/*"),
    *("var/lib/dpkg/*-old", "var/lib/dpkg/lock*", "var/lib/dpkg/triggers/Lock", "var/lib/systemd/random-seed"),
    *("etc/machine-id", "var/lib/dbus/machine-id", "etc/.pwd.lock", "etc/resolv.conf", "etc/hostname"),
    *(f"etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")),
    *("usr/sbin/policy-rc.d", "root/.*", "*.pyc", "*/__pycache__"),
)

# cap_net_bind_service, permitted and effective, as `struct vfs_ns_cap_data` revision 2 of linux/capability.h.
BIND_LOW_PORTS = bytes.fromhex("0100000200040000000000000000000000000000").decode("ascii")

State = dict[str, tuple[object, ...]]


def snapshot(root: Path) -> State:
    """Note the state of every file below `root`, to find later what a step changed."""
    return {name: _state(root / name, status) for name, status in _walk(root)}


def changes(root: Path, before: State) -> tuple[list[str], list[str]]:
    """Return what was written since `before` and what was removed, both sorted."""
    after = snapshot(root)
    written = sorted(name for name, state in after.items() if before.get(name) != state)
    gone = before.keys() - after.keys()
    # Removing a folder removes what is in it.
    return written, sorted(name for name in gone if name.rpartition("/")[0] not in gone)


def write_layer(
    store: Store,
    root: Path,
    components: list[Json],
    *,
    names: list[str] | None = None,
    removed: list[str] | None = None,
    capabilities: Mapping[str, str] | None = None,
    of_tree: bool = False,
    keep_bytecode: bool = False,
) -> Layer:
    """Pack `names` of `root` (default: everything) and whiteouts for `removed` into a blob.

    `of_tree` says that programs worked on the tree and left traces that do not belong into a layer.
    """
    chosen = names if names is not None else [name for name, _ in _walk(root)]
    entries = [(name, False) for name in chosen] + [(name, True) for name in removed or []]
    if of_tree:
        entries = [entry for entry in entries if not _volatile(entry[0], keep_bytecode=keep_bytecode)]
    with store.scratch() as work:
        blob = work / "layer"
        diff_id = _compress(root, sorted(entries), blob, capabilities or {})
        with blob.open("rb") as handle:
            digest = "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()
        size = blob.stat().st_size
        blob.chmod(0o644)
        blob.replace(store.blob(digest))
    return Layer(digest=digest, diff_id=diff_id, size=size, components=components)


def unpack(store: Store, layers: list[Layer], root: Path) -> None:
    """Lay out the file tree of an image below the empty folder `root`."""
    for layer in layers:
        command = ["tar", "--zstd", "-xpf", str(store.blob(layer.digest)), "-C", str(root)]
        command += ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--keep-directory-symlink"]
        _run(command)
        for whiteout in [name for name, _ in _walk(root) if Path(name).name.startswith(WHITEOUT)]:
            mark = root / whiteout
            target = mark.with_name(mark.name.removeprefix(WHITEOUT))
            _run(["rm", "-rf", "--", str(target), str(mark)])


class _HashingPipe:
    """A file object that counts and hashes what passes to a compressor."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.sink = sink
        self.sha = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        return self.sink.write(data)


def _compress(root: Path, entries: list[tuple[str, bool]], blob: Path, capabilities: Mapping[str, str]) -> str:
    command = ["zstd", "-q", "-3", "-T2", "--no-check", "-o", str(blob)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - Popen was given a pipe
        pipe = _HashingPipe(process.stdin)
        with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            seen: dict[tuple[int, int], str] = {}
            for name, removed in entries:
                _add(tar, root, name, seen, capabilities) if not removed else _add_whiteout(tar, name)
        process.stdin.close()
    if process.returncode:
        raise UserError(f"zstd failed with {process.returncode} on {blob}", fix="see if the disk is full (df -h)")
    return "sha256:" + pipe.sha.hexdigest()


def _add(
    tar: tarfile.TarFile, root: Path, name: str, seen: dict[tuple[int, int], str], capabilities: Mapping[str, str]
) -> None:
    path = root / name
    status = path.lstat()
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid, info.mtime = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, EPOCH
    if "/" + name in capabilities:
        info.pax_headers = {"SCHILY.xattr.security.capability": capabilities["/" + name]}
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif not stat.S_ISREG(status.st_mode):
        raise UserError(f"/{name} is a device, pipe or socket", fix="remove it in the recipe ('remove')")
    elif (status.st_dev, status.st_ino) in seen:
        info.type, info.linkname = tarfile.LNKTYPE, seen[status.st_dev, status.st_ino]
    else:
        seen[status.st_dev, status.st_ino] = name
        info.size = status.st_size
        with path.open("rb") as content:
            tar.addfile(info, content)
        return
    tar.addfile(info)


def _add_whiteout(tar: tarfile.TarFile, name: str) -> None:
    folder, _, base = name.rpartition("/")
    info = tarfile.TarInfo(f"{folder}/{WHITEOUT}{base}" if folder else WHITEOUT + base)
    info.mode, info.mtime = 0o644, EPOCH
    tar.addfile(info, BytesIO())


def _volatile(name: str, *, keep_bytecode: bool) -> bool:
    if keep_bytecode and (name.endswith(".pyc") or name.endswith("__pycache__")):
        return False
    return any(fnmatch(name, pattern) for pattern in VOLATILE)


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                yield name, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)


def _state(path: Path, status: os.stat_result) -> tuple[object, ...]:
    attributes = (status.st_mode, status.st_uid, status.st_gid)
    if stat.S_ISLNK(status.st_mode):
        return (*attributes, str(path.readlink()))
    if not stat.S_ISREG(status.st_mode):
        return attributes
    with path.open("rb") as content:
        return (*attributes, hashlib.file_digest(content, "sha256").digest())


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command)} failed: {done.stderr.strip()}", fix="see if the disk is full (df -h)")
