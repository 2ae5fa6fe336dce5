"""The rules for Wazuh and Falco: their form, and what alerts of both come to."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from lxml import etree

from refsys.infra import paths
from refsys.services.logs.records import document_of
from refsys.services.logs.templates import mappings

FOLDER = paths.CHECKOUT / "security" / "rules"
OWN = range(100100, 100200)
UPSTREAM = {5715, 86601}
"""Wazuh's own rules that ours build on: sshd's successful logins, Suricata's alerts."""
MACROS = {"container", "open_read", "shell_binaries", "spawned_process"}
"""What Falco's own rules define."""
PRIORITIES = {"CRITICAL", "ERROR", "WARNING"}
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def wazuh_rules() -> list[Any]:
    return list(etree.parse(FOLDER / "wazuh" / "local_rules.xml").getroot().iter("rule"))


def falco_rules() -> list[dict[str, Any]]:
    return list(yaml.safe_load((FOLDER / "falco" / "refsys.yaml").read_text()))


def _numbers(rule: Any) -> Iterator[int]:
    for tag in ("if_sid", "if_matched_sid"):
        for found in rule.findall(tag):
            yield from map(int, found.text.split(","))


def test_numbers_of_wazuhs_rules_are_own_ones_and_come_before_they_are_used() -> None:
    known = set(UPSTREAM)
    for rule in wazuh_rules():
        number = int(rule.get("id"))
        assert number in OWN
        assert number not in known
        assert set(_numbers(rule)) <= known
        known.add(number)


def test_a_rule_of_wazuh_says_what_it_found() -> None:
    for rule in wazuh_rules():
        assert rule.findtext("description")
        level = int(rule.get("level"))
        assert level == 0 or re.fullmatch(r"T\d{4}(\.\d{3})?", rule.findtext("mitre/id"))
        counts = rule.get("frequency") is not None
        assert (level >= 10) is counts, "single events are told of by Sigma"
        assert counts is (rule.find("if_matched_sid") is not None)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("CRIT   :  [x] msg=<POLICY [ReadOnly] C--------S>, path=</usr/bin/x>", 100101),
        ("CRIT   :  [x] msg=<POLICY ADDED>, path=</usr/local/bin/x>, mode_new=<-rwsr-xr-x>", 100102),
    ],
)
def test_regular_expressions_find_what_samhain_writes(line: str, number: int) -> None:
    (pattern,) = (rule.findtext("regex") for rule in wazuh_rules() if int(rule.get("id")) == number)
    assert re.search(pattern, line)
    assert not re.search(pattern, "samhain started, msg=<START>, mode_old=<-rwsr-xr-x>")


def test_rules_of_falco_have_all_that_falco_asks_for() -> None:
    rules = [each for each in falco_rules() if "rule" in each]
    assert len({rule["rule"] for rule in rules}) == len(rules) > 0
    for rule in rules:
        assert rule.keys() == {"rule", "desc", "condition", "output", "priority", "tags"}
        assert rule["priority"] in PRIORITIES
        assert "refsys" in rule["tags"]
        assert any(re.fullmatch(r"T\d{4}(\.\d{3})?", tag) for tag in rule["tags"])
        assert {"%k8s.pod.name", "%k8s.ns.name", "%proc.cmdline"} <= set(re.findall(r"%[\w.]+", rule["output"]))


def test_conditions_name_lists_and_macros_that_exist() -> None:
    known = MACROS | {each["list"] for each in falco_rules() if "list" in each}
    words = {"and", "or", "not", "in", "startswith", "true", "evt", "proc", "fd"}
    for rule in falco_rules():
        bare = re.sub(
            r"\bevt\.type in \([^)]*\)|[\w.]+ (?:=|!=) \w+|startswith \S+|\b[a-z]+\.[\w.]+",
            "",
            rule.get("condition", ""),
        )
        assert set(re.findall(r"[a-z_]+", bare)) - words <= known, rule


def test_lists_are_used() -> None:
    conditions = " ".join(rule.get("condition", "") for rule in falco_rules())
    assert all(each["list"] in conditions for each in falco_rules() if "list" in each)


def test_changed_rules_come_to_the_nodes() -> None:
    from refsys.infra.playbook import SOURCES  # noqa: PLC0415 - Pulumi's module is slow to load

    assert {FOLDER / "wazuh", FOLDER / "falco"} <= set(SOURCES)


def _record(source: str, event: dict[str, Any]) -> dict[str, Any]:
    record = {"host": "cp1", "source": source, "program": source, "severity": "info", "message": json.dumps(event)}
    document, _ = document_of(json.dumps(record).encode(), NOW)
    return document


def test_an_alert_of_wazuh_is_one_of_the_agents_node_and_time() -> None:
    alert = {
        "timestamp": "2026-11-22T09:58:07.603+0000",
        "rule": {"level": 10, "description": "sshd: brute force", "id": "5712", "groups": ["sshd"]},
        "agent": {"id": "001", "name": "w1", "ip": "10.150.7.20"},
        "manager": {"name": "cp1"},
        "full_log": "x",
        "location": "journald",
    }
    document = _record("wazuh", alert)
    assert document["host"] == "w1"
    assert document["@timestamp"].startswith("2026-11-22T09:58:07.603")
    assert document["event"] == alert


def test_an_alert_of_falco_has_its_rule_where_wazuh_has_it() -> None:
    alert = {
        "hostname": "w1",
        "output": "A network tool runs",
        "output_fields": {"k8s.pod.name": "x"},
        "priority": "Warning",
        "rule": "Network tool in a container",
        "source": "syscall",
        "tags": ["refsys"],
        "time": "2026-11-22T09:58:07.603486532Z",
    }
    document = _record("falco", alert)
    assert document["host"] == "cp1"
    assert document["@timestamp"].startswith("2026-11-22T09:58:07.603")
    assert document["event"] == alert | {"rule": {"description": "Network tool in a container"}}


def test_what_sigma_asks_for_can_be_searched() -> None:
    fields = mappings()["properties"]["event"]["properties"]
    assert fields["rule"]["properties"]["level"]["type"] == "long"
    assert fields["priority"]["type"] == "keyword"
