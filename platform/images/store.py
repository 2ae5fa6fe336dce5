"""The cache of blobs, layers and built images: written once, under locks, by atomic renames."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from refsys.infra import paths

EPOCH = 1735689600
"""Time of every file and image (2025-01-01T00:00:00Z), so that the same input gives the same digest."""

Json = dict[str, Any]


def digest_of(data: bytes) -> str:
    """Return the OCI digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    """Return the one JSON form of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Layer:
    """A file system layer in the cache and the software it brings."""

    digest: str
    diff_id: str
    size: int
    components: list[Json] = field(default_factory=list)
    """CycloneDX components."""


class Store:
    """The folder `images` of the cache."""

    def __init__(self, root: Path | None = None) -> None:
        """Use `root`, by default below $REFSYS_CACHE."""
        self.root = root or paths.cache() / "images"
        for name in ("blobs/sha256", "layers", "built", "locks", "work"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def blob(self, digest: str) -> Path:
        """Path of a blob, whether it exists or not."""
        return self.root / "blobs" / digest.replace(":", "/")

    def add(self, data: bytes) -> str:
        """Keep some bytes as a blob and return their digest."""
        digest = digest_of(data)
        self.write(self.blob(digest), data)
        return digest

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file at once."""
        with tempfile.NamedTemporaryFile(dir=self.root / "work", delete=False) as handle:
            handle.write(data)
        Path(handle.name).chmod(0o644)
        Path(handle.name).replace(path)

    def layer(self, key: str) -> Layer | None:
        """Return the layer that was built for `key`, if its blob is still there."""
        try:
            layer = Layer(**json.loads((self.root / "layers" / f"{key}.json").read_text()))
        except FileNotFoundError:
            return None
        return layer if self.blob(layer.digest).is_file() else None

    def keep_layer(self, key: str, layer: Layer) -> None:
        """Remember the layer built for `key`."""
        self.write(self.root / "layers" / f"{key}.json", canonical(asdict(layer)))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that excludes other threads and processes; it goes with the process."""
        with (self.root / "locks" / name).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty work folder beside the blobs; what a killed build left is removed first."""
        for left in (self.root / "work").glob("*.*.d"):
            if not Path(f"/proc/{left.name.split('.')[0]}").exists():
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}.", suffix=".d", dir=self.root / "work"))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
