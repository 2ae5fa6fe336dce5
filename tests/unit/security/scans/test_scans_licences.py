"""Licences against the policy."""

from typing import Any

import pytest

from refsys.platform.images import sbom
from refsys.platform.images.licences import told_by
from refsys.security.scans import bills, go_licences, licences
from refsys.security.scans.licences import Exemption, Policy
from refsys.security.scans.report import Result

POLICY = Policy(
    names={"Apache License, Version 2.0": "Apache-2.0", "CDDL/GPLv2+CE": "CDDL-1.0 OR GPL-2.0-only"},
    allowed=["Apache-2.0", "MIT"],
    denied=["AGPL-3.0-only"],
    unnamed=[],
    exceptions=[
        Exemption(packages=["pkg:deb/*"], licences=["*"], reason="programs that are run, not linked"),
        Exemption(packages=["pkg:pypi/x"], licences=["AGPL-3.0-only"], reason="a tool of the tests, never shipped"),
    ],
)


@pytest.mark.parametrize(
    ("purl", "names", "level"),
    [
        ("pkg:pypi/a@1", ["MIT"], "allowed"),
        ("pkg:pypi/a@1", ["mit"], "allowed"),
        ("pkg:pypi/a@1", ["apache license, version 2.0"], "allowed"),
        ("pkg:pypi/a@1", ["MIT OR GPL-3.0-only"], "allowed"),
        ("pkg:pypi/a@1", ["MIT AND GPL-3.0-only"], "not allowed"),
        ("pkg:pypi/a@1", ["MIT", "GPL-3.0-only"], "not allowed"),
        ("pkg:maven/g/a@1?type=jar", ["MIT", "GPL-3.0-only"], "allowed"),
        ("pkg:maven/g/a@1?type=jar", ["CDDL/GPLv2+CE"], "not allowed"),
        ("pkg:pypi/a@1", ["Beer licence"], "unknown"),
        ("pkg:pypi/a@1", [], "unknown"),
        ("pkg:pypi/a@1", ["AGPL-3.0-only"], "denied"),
        ("pkg:deb/debian/a@1?arch=all", ["AGPL-3.0-only"], "denied"),
        ("pkg:deb/debian/a@1?arch=all", ["GPL-2+"], "accepted"),
        ("pkg:deb/debian/a@1?arch=all", [], "accepted"),
        ("pkg:pypi/x@1", ["AGPL-3.0-only"], "accepted"),
    ],
)
def test_judgement(purl: str, names: list[str], level: str) -> None:
    result = Result({})
    licences.judge(POLICY, purl, names, ("image",), result)
    assert len(result.findings) + len(result.accepted) + len(result.below) == 1
    if level == "accepted":
        assert result.accepted
    elif level == "allowed":
        assert result.below[0].level == level
    else:
        assert result.findings[0].level == level


def _bill(*components: dict[str, Any]) -> dict[str, Any]:
    return sbom.document("image", "1", [], list(components))


def test_a_package_in_two_bills_is_judged_once_by_the_one_that_knows() -> None:
    url = "pkg:pypi/somepackage@1"
    silent = _bill(sbom.component("library", "somepackage", "1", url, []))
    telling = _bill(sbom.component("library", "somepackage", "1", url, ["MIT"]))
    result = licences.examine({"one": silent, "two": telling})
    assert not result.findings
    assert result.below[0].where == ("one", "two")


def test_every_module_of_the_lock_has_a_licence_or_stands_in_the_policy() -> None:
    result = Result({})
    policy = licences.load()
    for module, names in go_licences.locked().items():
        licences.judge(policy, f"pkg:golang/{module}", names, (), result)
    assert not result.findings


def test_the_python_environment_meets_the_policy() -> None:
    result = licences.examine({"python": bills.of_python()})
    assert len(result.below) > 100
    assert not result.findings


def test_licences_are_told_by_their_texts() -> None:
    assert told_by("Permission is hereby granted, free of charge, to any\n person obtaining a copy") == ["MIT"]
    assert told_by("                Apache License\n          Version 2.0, January 2004") == ["Apache-2.0"]
    retained = "Redistributions of source code must retain the above copyright notice"
    assert told_by(retained) == ["BSD-2-Clause"]
    assert told_by(f"{retained} … used to endorse or promote products …") == ["BSD-3-Clause"]
    assert told_by("All rights reserved.") == []
