"""The scan for secrets; the checkout's own is part of the lint suite."""

import subprocess
from pathlib import Path

import pytest

from refsys.security.scans import secrets


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    key = "AKIA" + "QYLPMN5HFIQR7XYA"
    (tmp_path / "deploy.py").write_text(f'access = "{key}"\n')
    (tmp_path / "notes.py").write_text(f'other = "{key}"\n')
    (tmp_path / "go.sum").write_text("x v1 h1:Zccqnf/5zjtptBU8OliC3iCbBfwrXvBlcP/Pw9UDAh4=\n")
    (tmp_path / "plain.py").write_text("x = 1\n")
    subprocess.run(["git", "-C", tmp_path, "add", "deploy.py", "go.sum", "plain.py"], check=True)
    return tmp_path


def test_tracked_files_are_looked_at_and_secrets_do_not_show(checkout: Path) -> None:
    known = checkout / "baseline.json"
    known.write_text("{}")
    result = secrets.examine(checkout, known)
    ((found),) = [one for one in result.findings if one.id == "AWS Access Key"]
    assert (found.what, found.where) == ("deploy.py", ("line 1",))
    assert "AKIA" not in str(result)
    assert {one.what for one in result.findings} == {"deploy.py"}


def test_what_was_looked_at_is_accepted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = checkout / "baseline.json"
    monkeypatch.setattr(secrets, "BASELINE", known)
    monkeypatch.setattr(secrets, "collect", lambda folder=checkout, collect=secrets.collect: collect(folder))
    secrets.accept()
    (checkout / "deploy.py").write_text("\n\n" + (checkout / "deploy.py").read_text())
    result = secrets.examine(checkout, known)
    assert not result.findings
    assert result.accepted
    assert "AKIA" not in known.read_text()


def test_nothing_asks_a_vendor() -> None:
    assert not [entry for entry in secrets.SETTINGS["filters_used"] if "verified" in entry["path"]]
