"""Registration of processors: signed images alone, with a scan that finds nothing beyond the policy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refsys.infra.bench import registry
from refsys.infra.cli import processor
from refsys.infra.errors import UserError
from refsys.security.components.admission import PARAMETERS
from refsys.security.scans import vulnerabilities
from refsys.security.scans.report import Finding, Result

DIGEST = "ab" * 32
IMAGE = f"registry.test:5000/refsys/mine@sha256:{DIGEST}"
HIGH = Finding("CVE-1", "zlib", ("mine",), "high", "1.2; mended in 1.3")


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    file = tmp_path / "mine.cdx.json"
    file.write_text(json.dumps({"components": [{"purl": "pkg:deb/debian/zlib1g@1"}]}))
    return file


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Result], list[Any]]:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "signed_images", lambda _: {DIGEST: "registry.test:5000/refsys/mine"})

    def finding(result: Result) -> list[Any]:
        asked: list[Any] = []

        def examine(*given: Any) -> Result:
            asked.append(given)
            return result

        monkeypatch.setattr(vulnerabilities, "examine", examine)
        return asked

    return finding


def test_a_signed_and_clean_image_is_registered(scan: Callable[[Result], list[Any]], bill: Path) -> None:
    asked = scan(Result({"policy": "p"}, [], [(HIGH, "not reachable")], []))
    run = CliRunner().invoke(processor.app, ["register", "mine", "--image", IMAGE, "--bill", str(bill)])
    assert run.exit_code == 0, run.output
    assert asked == [({"mine": bill}, 1)]
    found = registry.find("local", "mine")
    assert (found.image, found.scan["accepted"][0]["reason"]) == (IMAGE, "not reachable")
    assert IMAGE in CliRunner().invoke(processor.app, ["list"]).output
    with pytest.raises(UserError, match=r"'other' is not registered in local \(known: mine\)"):
        registry.find("local", "other")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (IMAGE.replace("ab", "cd"), "is not among the signed images"),
        (IMAGE.replace("mine", "yours"), "that digest is signed as registry.test:5000/refsys/mine"),
        ("registry.test:5000/refsys/mine:latest", "neither an image of the distribution"),
    ],
)
def test_what_is_not_signed_is_refused(
    scan: Callable[[Result], list[Any]], monkeypatch: pytest.MonkeyPatch, bill: Path, image: str, told: str
) -> None:
    asked = scan(Result({}))
    monkeypatch.setattr(registry, "cached", lambda _: None)
    with pytest.raises(UserError, match=told):
        registry.register("local", "mine", "1", image, bill)
    assert not asked and not registry.listed("local")


def test_findings_beyond_the_policy_and_missing_bills_are_refused(
    scan: Callable[[Result], list[Any]], bill: Path
) -> None:
    scan(Result({}, [HIGH]))
    with pytest.raises(UserError, match=r"1 findings beyond the policy in .*: CVE-1 in zlib \(high\)"):
        registry.register("local", "mine", "1", IMAGE, bill)
    with pytest.raises(UserError, match="no bill of materials"):
        registry.register("local", "mine", "1", IMAGE, None)
    bill.write_text('{"components": []}')
    with pytest.raises(UserError, match="names no component"):
        registry.register("local", "mine", "1", IMAGE, bill)
    assert not registry.listed("local")


def test_signed_is_what_admission_asks() -> None:
    assert registry.SIGNED.endswith(f"/{PARAMETERS}")
