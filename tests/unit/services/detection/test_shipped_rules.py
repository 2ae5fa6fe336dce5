"""The rules of the distribution, as the detector reads them."""

import re

from refsys.infra import paths
from refsys.services.detection.rules import load_rules
from refsys.services.logs.templates import EVENT_KEYWORDS, EVENT_NUMBERS

RULES = load_rules(paths.CHECKOUT / "security" / "rules" / "sigma")


def test_what_rules_ask_for_can_be_searched() -> None:
    fields = {(rule.title, field) for rule in RULES for field in re.findall(r"event\.([A-Za-z_.]+):", rule.query)}
    fields |= {
        (rule.title, field.removeprefix("event."))
        for rule in RULES
        if rule.threshold
        for field in rule.threshold.group_by
        if field.startswith("event.")
    }
    assert fields
    assert not [each for each in fields if each[1] not in (*EVENT_KEYWORDS, *EVENT_NUMBERS)]


def test_runbooks_are_there() -> None:
    assert all((paths.CHECKOUT / rule.runbook).is_file() for rule in RULES)
