"""The Sigma rules: each parses, asks for fields that records have, and says what to do."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from sigma.correlations import SigmaCorrelationRule
from sigma.rule import SigmaRule

from refsys.infra import paths
from refsys.services.detection.rules import LogStoreBackend

FOLDER = paths.CHECKOUT / "security" / "rules" / "sigma"
RUNBOOKS = "docs/runbooks/security"
FIELDS = {
    "journal": {"program", "message", "severity", "host", "event"},
    "suricata": {"event"},
    "kubernetes": {"event"},
    "container": {"namespace", "pod", "container", "message", "event"},
    "wazuh": {"event"},
    "falco": {"event"},
}
TITLES = {
    *("SSH brute force", "Sudo abuse", "System file changed", "New setuid file", "Port scan", "Network attack"),
    *("Virus found", "Shell in a container", "Privileged pod refused", "API request without right"),
    *("Anonymous API request", "Break-glass account used", "Wazuh alert", "Falco alert"),
}


@cache
def documents() -> list[tuple[str, dict[str, Any]]]:
    """File and content of every rule."""
    return [(file.name, rule) for file in sorted(FOLDER.glob("*.yml")) for rule in yaml.safe_load_all(file.read_text())]


def plain() -> list[dict[str, Any]]:
    return [rule for _, rule in documents() if "correlation" not in rule]


def correlations() -> list[dict[str, Any]]:
    return [rule for _, rule in documents() if "correlation" in rule]


def asked(part: Any) -> Iterator[tuple[str, Any]]:
    """Field and values of a selection, whatever its form."""
    if isinstance(part, list):
        for item in part:
            yield from asked(item)
    elif isinstance(part, dict):
        for field, values in part.items():
            yield field.partition("|")[0], values


def selections(rule: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, part in rule["detection"].items():
        if name != "condition":
            yield from asked(part)


@pytest.mark.parametrize("rule", plain(), ids=lambda rule: rule["title"])
def test_a_rule_becomes_a_query_of_the_store(rule: dict[str, Any]) -> None:
    queries = LogStoreBackend().convert_rule(SigmaRule.from_dict(rule))
    assert len(queries) == 1
    assert queries[0]


@pytest.mark.parametrize("rule", correlations(), ids=lambda rule: rule["title"])
def test_a_correlation_counts_rules_that_exist(rule: dict[str, Any]) -> None:
    parsed = SigmaCorrelationRule.from_dict(rule)
    names = {other["name"] for other in plain() if "name" in other}
    assert parsed.rules is not None
    assert {reference.reference for reference in parsed.rules} <= names
    assert parsed.group_by
    assert rule["correlation"]["type"] == "event_count"


def test_every_name_is_counted_by_a_correlation() -> None:
    counted = {name for rule in correlations() for name in rule["correlation"]["rules"]}
    assert {rule["name"] for rule in plain() if "name" in rule} == counted


@pytest.mark.parametrize("rule", plain(), ids=lambda rule: rule["title"])
def test_a_rule_asks_for_fields_that_records_have(rule: dict[str, Any]) -> None:
    assert rule["logsource"]["product"] == "refsys"
    fields = {field.split(".")[0] for field, _ in selections(rule)}
    assert fields <= FIELDS[rule["logsource"]["service"]]
    if rule["logsource"]["service"] == "journal":
        assert "program" in {field for field, _ in selections(rule)}, "any program may write any message"


@pytest.mark.parametrize("rule", plain(), ids=lambda rule: rule["title"])
def test_a_value_holds_no_character_that_lucene_drops(rule: dict[str, Any]) -> None:
    for field, values in selections(rule):
        assert not re.search("[<>]", str(values)), field


def test_ids_and_names_are_unique() -> None:
    ids = [rule["id"] for _, rule in documents()]
    assert len(ids) == len(set(ids))
    names = [rule["name"] for _, rule in documents() if "name" in rule]
    assert len(names) == len(set(names))


def test_the_alerts_that_operators_know_by_name_are_there() -> None:
    assert {rule["title"] for _, rule in documents()} >= TITLES


@pytest.mark.parametrize(("file", "rule"), documents(), ids=lambda value: str(value)[:40])
def test_a_rule_says_what_it_means_and_what_to_do(file: str, rule: dict[str, Any]) -> None:
    assert rule["status"] == "stable", file
    assert rule["level"] in ("low", "medium", "high", "critical")
    assert len(rule["description"]) > 20
    assert rule["falsepositives"]
    assert any(re.fullmatch(r"attack\.t\d{4}(\.\d{3})?", tag) for tag in rule["tags"])
    runbook = paths.CHECKOUT / rule["runbook"]
    assert runbook.parent == paths.CHECKOUT / RUNBOOKS
    text = runbook.read_text()
    assert all(f"## {part}\n" in text for part in ("What it means", "Is it real?", "What to do"))


def test_every_runbook_belongs_to_a_rule() -> None:
    used = {rule["runbook"] for _, rule in documents()}
    metrics = "".join(file.read_text() for file in (paths.CHECKOUT / "monitoring/rules").glob("*.yml"))
    used |= set(re.findall(rf"runbook: ({RUNBOOKS}/[a-z0-9-]+\.md)", metrics))
    assert {f"{RUNBOOKS}/{file.name}" for file in (paths.CHECKOUT / RUNBOOKS).glob("*.md")} == used
