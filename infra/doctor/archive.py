"""The archive: masked text, written once, for its owner only."""

import io
import os
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from refsys.infra.doctor.masks import Masks

FILE_BYTES = 8 * 2**20


class Archive:
    """A tar.gz that is there whole or not at all; nothing comes to the disk before it was masked."""

    def __init__(self, file: Path, masks: Masks) -> None:
        """Begin the archive that will be `file`."""
        self.file, self.masks = file, masks
        self._part = file.with_name(f".{file.name}.part")
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def __enter__(self) -> Self:
        """Open it."""
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._stream = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._stream, mode="w:gz")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish it, or leave nothing."""
        self._tar.close()
        self._stream.close()
        if error is None:
            self._part.rename(self.file)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, name: str, text: str) -> None:
        """Put text under a name; of too much of it, the end."""
        if len(text) > FILE_BYTES:
            text = f"(the first {len(text) - FILE_BYTES} characters are left out)\n" + text[-FILE_BYTES:]
        content = self.masks(text).encode(errors="replace")
        member = tarfile.TarInfo(f"{self.file.name.removesuffix('.tar.gz')}/{name}")
        member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
        self._tar.addfile(member, io.BytesIO(content))
