"""An object store in memory, through the same library as the real one, for tests without a server."""

from pathlib import Path

from obstore.store import MemoryStore

from refsys.services.common.settings import S3Settings
from refsys.services.common.store import ObjectStore


class MemoryObjects(ObjectStore):
    """Buckets appear as they are used."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes the keys, which nobody asks for."""
        key = folder / "key"
        key.write_text("x")
        super().__init__(
            S3Settings.model_validate(
                {"endpoint": "http://localhost:1", "access_key_file": key, "secret_key_file": key}
            )
        )
        self._memory: dict[str, MemoryStore] = {}

    def bucket(self, name: str) -> MemoryStore:  # type: ignore[override]  # the part of S3Store that is used
        """The bucket."""
        return self._memory.setdefault(name, MemoryStore())

    def keys(self, bucket: str) -> list[str]:
        """The keys of a bucket."""
        return [each.key for each in self.list(bucket)]
