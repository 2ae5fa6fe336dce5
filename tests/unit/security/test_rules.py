"""Rules, role, waivers and documentation say the same."""

import re

import pytest
from pydantic import ValidationError

from refsys.infra import paths
from refsys.security.compliance import catalogue, reference, waivers
from refsys.security.compliance.waivers import Waiver, Where

RULES = catalogue.load()
WAIVERS = waivers.load()
ID = re.compile(r"\bA?\d+(?:\.\d+){2,4}\b")
UNAPPLIED = ("none", "audited")
PARTS = ("tasks", "handlers", "templates", "vars", "files")


def _sources() -> dict[str, str]:
    """The role's files without the catalogue, by their path in the role."""
    files = [file for part in PARTS for file in (catalogue.ROLE / part).rglob("*.*")]
    return {str(file.relative_to(catalogue.ROLE)): file.read_text() for file in files if file != catalogue.FILE}


def test_every_rule_has_a_part_of_the_role_that_applies_it() -> None:
    tasks = {file.stem for file in (catalogue.ROLE / "tasks").glob("*.yml")}
    assert {rule.concern for rule in RULES.values()} - set(UNAPPLIED) <= tasks


def test_every_rule_that_is_applied_is_asked_for_in_the_role() -> None:
    asked = {found for text in _sources().values() for found in ID.findall(text)}
    missing = [number for number, rule in RULES.items() if rule.concern not in UNAPPLIED and number not in asked]
    assert missing == []


def test_the_role_asks_for_no_rule_that_there_is_not() -> None:
    for name, text in _sources().items():
        asked = set(re.findall(r"'(A?\d+(?:\.\d+){2,4})'|^  (A?\d+(?:\.\d+){2,4}):", text, re.M))
        numbers = {first or second for first, second in asked}
        assert numbers <= set(RULES), name


def test_sections_are_those_of_the_ids() -> None:
    for number, rule in RULES.items():
        assert rule.section == ".".join(number.removeprefix("A").split(".")[:2]), number


def test_what_nothing_applies_is_waived_everywhere() -> None:
    everywhere = waivers.reasons(WAIVERS, "rules", [])
    assert [number for number, rule in RULES.items() if rule.concern == "none" and number not in everywhere] == []


def test_waivers_name_rules_that_exist_and_each_once_a_place() -> None:
    assert {rule for waiver in WAIVERS for rule in waiver.rules} <= set(RULES)
    for tool in ("rules", "openscap", "lynis"):
        named = [(test, waiver.where) for waiver in WAIVERS for test in waiver.tests(tool)]
        assert len(named) == len(set(named)), tool


def test_a_waiver_holds_where_it_says() -> None:
    assert "3.3.1" in waivers.reasons(WAIVERS, "rules", [Where.KUBERNETES_NODE])
    assert "3.3.1" not in waivers.reasons(WAIVERS, "rules", [Where.CONTAINER])
    assert "service_auditd_enabled" not in waivers.reasons(WAIVERS, "openscap", [Where.KUBERNETES_NODE])


def test_a_waiver_needs_a_reason_and_something_to_waive() -> None:
    with pytest.raises(ValidationError, match="reason"):
        Waiver.model_validate({"rules": ["1.1.1.1"], "where": "everywhere", "reason": "no"})
    with pytest.raises(ValidationError, match="name what is waived"):
        Waiver.model_validate({"where": "everywhere", "reason": "There is a good reason for nothing"})


def test_the_page_of_rules_is_in_step() -> None:
    assert reference.FILE.read_text() == reference.page(), "run: python -m refsys.security.compliance.reference"


def test_the_role_and_the_checker_read_the_same_waivers() -> None:
    text = (catalogue.ROLE / "vars" / "main" / "main.yml").read_text()
    (path,) = re.findall(r"role_path ~ '(/\.\./\.\./[^']+)'", text)
    assert (catalogue.ROLE / path.lstrip("/")).resolve() == waivers.FILE.resolve()
    assert str(waivers.FILE.resolve()).startswith(str(paths.CHECKOUT))
