"""A failed job's work folder as an archive that others can read."""

import io
import os
import tarfile
from pathlib import Path

from refsys.services.execution.workdir import archive


def test_an_archive_has_all_but_the_inputs_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "input").symlink_to("/etc/passwd")
    (tmp_path / "product" / "deep").mkdir(parents=True)
    (tmp_path / "product" / "deep" / ("long" * 60)).write_bytes(b"x" * 700_000)
    (tmp_path / "empty").touch()
    (tmp_path / "exit").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    data = b"".join(archive(tmp_path, {"input"}))
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        names = set(read.getnames())
        assert names == {"product", "product/deep", f"product/deep/{'long' * 60}", "empty", "exit"}
        assert read.getmember("exit").issym()
        content = read.extractfile(f"product/deep/{'long' * 60}")
        assert content and content.read() == b"x" * 700_000
    assert len(data) % 512 == 0
