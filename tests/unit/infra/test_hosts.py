"""The environment's block in /etc/hosts."""

from pathlib import Path

import pytest

from refsys.infra.clouds.local import hosts


def test_blocks_come_change_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    monkeypatch.setattr(hosts, "FILE", file)
    hosts.write("a", {"x.a": "10.0.0.1"})
    hosts.write("b", {"x.b": "10.0.0.2"})
    hosts.write("a", {"x.a": "10.0.0.3", "y.a": "10.0.0.3"})
    assert hosts.read("a") == {"x.a": "10.0.0.3", "y.a": "10.0.0.3"}
    assert hosts.read("b") == {"x.b": "10.0.0.2"}
    hosts.remove("a")
    hosts.remove("b")
    assert file.read_text() == "127.0.0.1 localhost\n"
