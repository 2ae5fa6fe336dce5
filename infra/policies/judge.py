"""Which rules the outcome of an `up` breaks."""

import fnmatch
from dataclasses import asdict, dataclass
from typing import Any

from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.policies.rules import RULES, Rule, Subject, judged_always


@dataclass(frozen=True)
class Violation:
    """A rule that a resource breaks."""

    rule: str
    resource: str
    what: str
    why: str
    fix: str
    refused: bool
    waived: str = ""
    """The reason, where the config accepts it."""

    def __str__(self) -> str:
        """What, why and what to do, on a line."""
        return f"{self.resource} {self.what} (rule {self.rule}): {self.why}; {self.waived or self.fix}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def judge(subject: Subject) -> list[Violation]:
    """Everything that a rule finds, the refused first."""
    found = [_violation(rule, subject.environment, *each) for rule in RULES for each in rule.find(subject)]
    return sorted(found, key=lambda each: not each.refused)


def require(subject: Subject) -> list[Violation]:
    """Judge, and return the warnings.

    Raises:
        UserError: names each resource, rule, reason and fix of what is refused.
    """
    found = judge(subject)
    refused = [each for each in found if each.refused]
    if refused:
        lines = [f"    {each.resource} {each.what}\n      rule {each.rule}: {each.why}" for each in refused]
        raise UserError(
            f"environment {subject.environment.name} would break its policies; nothing was touched:\n"
            + "\n".join(lines),
            fix="\n       ".join(dict.fromkeys(each.fix for each in refused)),
        )
    return found


def governed(environment: Environment) -> bool:
    """Whether anything has to be judged before an `up`: on machines that are there only where the config asks."""
    asked = environment.limits.model_fields_set or environment.policies.model_fields_set
    return judged_always(environment) or environment.protected or bool(asked)


def _violation(rule: Rule, environment: Environment, resource: str, what: str) -> Violation:
    waivers = environment.policies.waivers
    reason = next(
        (each.reason for each in waivers if each.rule == rule.name and fnmatch.fnmatchcase(resource, each.resource)), ""
    )
    refused = not reason and not rule.advice(environment)
    return Violation(rule.name, resource, what, rule.why, rule.fix, refused, reason)
