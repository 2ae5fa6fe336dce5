"""Copies of the state: kept when something is new, checked when read, the oldest dropped."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refsys.infra import backups
from refsys.infra.errors import UserError

NOW = datetime(2026, 11, 23, 8, 0, 0, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    return tmp_path


def state(*names: str, written: str = "now") -> str:
    resources = [{"urn": name, "type": "refsys:Password", "modified": written} for name in names]
    return json.dumps({"version": 3, "deployment": {"manifest": {"time": written}, "resources": resources}})


def test_a_copy_is_made_where_something_is_new_and_comes_back_as_it_was(home: Path) -> None:
    made = backups.keep("x", state("a"), "up", NOW)
    assert made is not None
    assert made.name == "20261123T080000.000005Z-up"
    assert made.file.stat().st_mode & 0o777 == made.checksum_file.stat().st_mode & 0o777 == 0o600
    assert backups.keep("x", state("a", written="later"), "up", NOW + timedelta(hours=1)) is None
    assert backups.keep("x", state("a", "b"), "down", NOW + timedelta(hours=2))
    assert [each.reason for each in backups.of("x")] == ["down", "up"]
    assert backups.named("x", made.name).read() == state("a")
    assert backups.of("y") == []


def test_a_state_that_holds_nothing_is_not_kept() -> None:
    assert backups.keep("x", json.dumps({"version": 3, "deployment": {}}), "up") is None
    assert backups.keep("x", json.dumps({"version": 3}), "up") is None
    assert backups.of("x") == []


def test_the_newest_are_kept() -> None:
    for number in range(backups.KEPT + 3):
        backups.keep("x", state(f"r{number}"), "up", NOW + timedelta(minutes=number))
    assert len(backups.of("x")) == backups.KEPT
    assert f"r{backups.KEPT + 2}" in backups.of("x")[0].read()
    assert len(list(backups.folder_of("x").iterdir())) == 2 * backups.KEPT


@pytest.mark.parametrize("damage", ["content", "checksum"])
def test_a_damaged_copy_is_refused_and_does_not_hinder_the_next_one(damage: str) -> None:
    made = backups.keep("x", state("a"), "up", NOW)
    assert made
    if damage == "content":
        data = made.file.read_bytes()
        made.file.write_bytes(data[:-9] + b"\0" + data[-8:])
    else:
        made.checksum_file.unlink()
    with pytest.raises(UserError, match="is damaged"):
        made.read()
    assert backups.keep("x", state("a"), "up", NOW + timedelta(hours=1))


def test_an_unknown_copy_is_told() -> None:
    with pytest.raises(UserError, match="state list x"):
        backups.named("x", "20200101")
