"""Suricata's own rules; what they find is tried on a node (molecule scenario `detection`)."""

import re

import yaml
from tests.unit.ansible import roles

from refsys.infra import paths

FOLDER = paths.CHECKOUT / "security" / "rules" / "suricata"
SIGMA = paths.CHECKOUT / "security" / "rules" / "sigma"
RULES = [
    line
    for file in sorted(FOLDER.glob("*.rules"))
    for line in file.read_text().splitlines()
    if line and not line.startswith("#")
]


def sid(rule: str) -> int:
    found = re.search(r"\bsid:(\d+);", rule)
    assert found, rule
    return int(found.group(1))


def test_numbers_are_own_ones_and_unique() -> None:
    numbers = [sid(rule) for rule in RULES]
    assert len(numbers) == len(set(numbers))
    assert all(9_000_000 < number < 9_001_000 for number in numbers)


def test_a_rule_says_what_it_found_and_how_grave_it_is() -> None:
    for rule in RULES:
        assert re.match(r'alert \S+ \S+ \S+ -> \S+ \S+ \(msg:"REFSYS [^"]+";', rule), rule
        assert re.search(r"classtype:[\w-]+; .*metadata:attack T\d{4}(_\d{3})?, created_at \d{4}_\d\d_\d\d;", rule)


def test_a_flood_of_packets_is_no_flood_of_alerts() -> None:
    assert all("threshold:type " in rule for rule in RULES)


def test_rules_ask_for_variables_that_the_role_sets() -> None:
    settings = yaml.safe_load((roles.folder("suricata") / "vars" / "main.yml").read_text())["_suricata_settings"]
    known = {name for group in settings["vars"].values() for name in group}
    assert {name for rule in RULES for name in re.findall(r"\$([A-Z_]+)", rule)} <= known


def test_scans_are_told_from_other_attacks() -> None:
    text = (SIGMA / "port_scan.yml").read_text()
    scans = {sid(rule) for rule in (FOLDER / "scans.rules").read_text().splitlines() if rule.startswith("alert")}
    assert scans == {int(number) for number in re.findall(r"\b9000\d{3}\b", text)}


def test_changed_rules_come_to_the_nodes() -> None:
    from refsys.infra.playbook import SOURCES  # noqa: PLC0415 - Pulumi's module is slow to load

    assert FOLDER in SOURCES
