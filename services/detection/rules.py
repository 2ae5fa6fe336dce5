"""Sigma rules, compiled for the log store.

The rules are the files of `security/rules/sigma` (Sigma specification 2: rules and correlations). Their log source is
what a record's field `source` holds, and their fields are those of the records (docs/logs.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import yaml
from sigma.backends.opensearch.opensearch import OpensearchLuceneBackend
from sigma.conditions import ConditionFieldEqualsValueExpression
from sigma.conversion.deferred import DeferredQueryExpression
from sigma.conversion.state import ConversionState
from sigma.correlations import (
    SigmaCorrelationCondition,
    SigmaCorrelationConditionOperator,
    SigmaCorrelationRule,
    SigmaCorrelationType,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import SigmaString

from refsys.services.common.settings import SettingsError

PRODUCT = "refsys"
MESSAGE = "message"
SOURCES = frozenset({"journal", "suricata", "kubernetes", "container", "wazuh", "falco"})


@dataclass(frozen=True)
class Threshold:
    """How many records of a group within a time are worth an alert."""

    count: int
    within: timedelta
    group_by: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """A rule that raises alerts: what it looks for, as a Lucene query, and what it says of what it found."""

    identifier: str
    title: str
    level: str
    description: str
    runbook: str
    tags: tuple[str, ...]
    query: str
    threshold: Threshold | None = None


@dataclass(frozen=True)
class _Found:
    """A document of a rules file, and the query of a rule that is no correlation."""

    file: str
    rule: SigmaRule | SigmaCorrelationRule
    query: str = ""


class LogStoreBackend(OpensearchLuceneBackend):
    """Queries of the log store: what `message` contains, begins or ends with are whole words in their order.

    Parts of words would need a look at every message of a day, again and again; words are in the index.
    """

    convert_or_as_in: ClassVar[bool] = False

    def convert_condition_field_eq_val_str(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str | DeferredQueryExpression:
        """Return the condition that a field is, begins with, ends with or contains a text."""
        if cond.field != MESSAGE or not isinstance(cond.value, SigmaString):
            return super().convert_condition_field_eq_val_str(cond, state)
        phrases = [part.replace("\\", "\\\\").replace('"', '\\"') for part in cond.value.s if isinstance(part, str)]
        return "(" + " AND ".join(f'{MESSAGE}:"{phrase}"' for phrase in phrases) + ")"


def load_rules(folder: Path) -> list[Rule]:
    """Read all rules of a folder.

    Raises:
        SettingsError: a rule is wrong; the message names the file and the reason.
    """
    backend = LogStoreBackend()
    found = [each for file in sorted(folder.glob("*.yml")) for each in _parse(file, backend)]
    named = {key: each for each in found for key in (each.rule.name, str(each.rule.id)) if key}
    counted = {
        str(reference.reference)
        for each in found
        if isinstance(each.rule, SigmaCorrelationRule) and not each.rule.generate
        for reference in each.rule.rules or ()
    }
    rules = [_rule(each, named) for each in found if not counted & {each.rule.name, str(each.rule.id)}]
    if not rules:
        raise SettingsError(f"{folder} has no rules; name the folder of Sigma rules (*.yml)")
    return rules


def _parse(file: Path, backend: LogStoreBackend) -> Iterator[_Found]:
    try:
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if not isinstance(document, dict):
                raise TypeError("it is no mapping; see docs/security/detection.md")
            if "correlation" in document:
                yield _Found(file.name, SigmaCorrelationRule.from_dict(document))
                continue
            rule = SigmaRule.from_dict(document)
            if rule.logsource.product != PRODUCT or rule.logsource.service not in SOURCES:
                raise SettingsError(
                    f"{file.name}: the log source of {rule.title!r} must be product {PRODUCT} and as service one of "
                    f"{', '.join(sorted(SOURCES))}"
                )
            yield _Found(file.name, rule, f"source:{rule.logsource.service} AND ({_query(rule, backend)})")
    except (SigmaError, yaml.YAMLError, TypeError) as error:
        raise SettingsError(f"{file.name} holds a wrong rule: {error}") from error


def _query(rule: SigmaRule, backend: LogStoreBackend) -> str:
    queries = backend.convert_rule(rule)
    return " OR ".join(f"({query})" for query in queries)


def _rule(found: _Found, named: Mapping[str, _Found]) -> Rule:
    rule, threshold, query = found.rule, None, found.query
    if isinstance(rule, SigmaCorrelationRule):
        threshold = _threshold(found.file, rule)
        query = " OR ".join(f"({_named(found, str(each.reference), named).query})" for each in rule.rules or ())
    fields: dict[str, Any] = rule.custom_attributes
    if rule.id is None or rule.level is None or "runbook" not in fields:
        raise SettingsError(f"{found.file}: rule {rule.title!r} needs an id, a level and a runbook")
    return Rule(
        identifier=str(rule.id),
        title=rule.title,
        level=str(rule.level),
        description=rule.description or "",
        runbook=str(fields["runbook"]),
        tags=tuple(str(tag) for tag in rule.tags),
        query=query,
        threshold=threshold,
    )


def _named(found: _Found, name: str, named: Mapping[str, _Found]) -> _Found:
    if name not in named or isinstance(named[name].rule, SigmaCorrelationRule):
        raise SettingsError(f"{found.file}: correlation {found.rule.title!r} names {name!r}, which is no rule")
    return named[name]


def _threshold(file: str, rule: SigmaCorrelationRule) -> Threshold:
    condition = rule.condition
    if (
        rule.type is not SigmaCorrelationType.EVENT_COUNT
        or not isinstance(condition, SigmaCorrelationCondition)
        or condition.op is not SigmaCorrelationConditionOperator.GTE
        or not rule.group_by
    ):
        raise SettingsError(f"{file}: correlation {rule.title!r} must be an event_count with gte and group-by")
    return Threshold(condition.count, timedelta(seconds=rule.timespan.seconds), tuple(rule.group_by))
