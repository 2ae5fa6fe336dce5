"""The report: JSON, page, terminal, and the older ones."""

import io
import json
from pathlib import Path

from rich.console import Console

from refsys.infra.cli import scan as terminal
from refsys.security.scans import page, report
from refsys.security.scans.report import Document, Finding, Result, Scan
from refsys.security.scans.run import SCANS, write

BAD = Finding("CVE-1", "<b>tar</b>", ("cp1", "w1", "w2", "w3"), "high", "1.0; mended in 2.0")
KNOWN = Finding("CVE-2", "curl", ("cp1",), "critical", "1.0")


def _document() -> Document:
    return report.make(Scan.HOSTS, "training", Result({"components": "2"}, [BAD], [(KNOWN, "because")], [KNOWN]))


def test_every_scan_can_be_run() -> None:
    assert set(SCANS) == set(Scan)


def test_the_page_shows_all_and_escapes_what_comes_from_outside() -> None:
    text = page.render(_document())
    assert "<b>tar" not in text
    assert "&lt;b&gt;tar" in text
    assert "Accepted: because" in text
    assert "1 beyond the policy" in text
    assert text.count("CVE-2") == 2


def test_the_terminal_shows_findings_and_counts_the_others() -> None:
    output = io.StringIO()
    terminal.show(_document(), Console(file=output, width=160))
    assert "CVE-1" in output.getvalue()
    assert "CVE-2" not in output.getvalue()
    assert "and 1 more" in output.getvalue()
    assert "1 beyond the policy, 1 accepted, 1 that the policy lets pass" in output.getvalue()


def test_the_last_report_is_kept(tmp_path: Path) -> None:
    first = _document() | {"time": "2026-01-01T00:00:00+00:00"}
    write(first, tmp_path)
    write(_document(), tmp_path)
    (old,) = (tmp_path / "history").iterdir()
    assert json.loads(old.read_text()) == json.loads(json.dumps(first))
    assert json.loads((tmp_path / "report.json").read_text())["scan"] == "hosts"
    assert (tmp_path / "report.html").stat().st_mode & 0o077 == 0
