"""Waivers and the policy: what stands, what is accepted, and what has ended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refsys.infra.errors import UserError
from refsys.security.scans import policy, waivers
from refsys.security.scans.report import Finding

FOUND = Finding("CVE-2099-0001", "libssl3", ("postgresql",), "high", "3.0; mended in 3.1")


def _file(folder: Path, days: int) -> Path:
    until = datetime.now(UTC).date() + timedelta(days=days)
    file = folder / "waivers.yaml"
    file.write_text(
        "waivers:\n- id: CVE-2099-0001\n  package: libssl3\n"
        f"  reason: The affected function is not called here.\n  until: {until}\n"
    )
    return file


def test_a_waiver_accepts_its_finding_in_its_package_only(tmp_path: Path) -> None:
    other = Finding("CVE-2099-0001", "openssl", ("postgresql",), "high", "")
    stand, accepted = waivers.split([FOUND, other], waivers.load(_file(tmp_path, 0)))
    assert stand == [other]
    ((finding, reason),) = accepted
    assert finding == FOUND
    assert "not called" in reason
    assert "until" in reason


def test_a_waiver_that_has_ended_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="CVE-2099-0001 in libssl3") as error:
        waivers.load(_file(tmp_path, -1))
    assert "judge it anew" in error.value.fix


@pytest.mark.parametrize("text", ["waivers:\n- id: x\n", "waivers: 3\n", "other: []\n", "a: [", ""])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "waivers.yaml").write_text(text)
    with pytest.raises(UserError, match="not valid"):
        waivers.load(tmp_path / "waivers.yaml")


def test_the_committed_files_are_valid() -> None:
    # An ended waiver is for whoever scans, not for the tests of every day.
    assert policy.load().database_days
    assert "waivers" in waivers.FILE.read_text()


def test_what_nobody_has_judged_counts() -> None:
    rules = policy.Policy(database_days=7, severity="high")
    assert [rules.counts(level) for level in ("critical", "high", "medium", "negligible", "unknown", "")] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
