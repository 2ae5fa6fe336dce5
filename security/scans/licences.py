"""Licences of all components against the policy in `licences.yaml`."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from license_expression import ExpressionError, get_spdx_licensing
from pydantic import BaseModel, ConfigDict, Field

from refsys.platform.images.store import Json
from refsys.security.scans import go_licences
from refsys.security.scans.report import Finding, Result

FILE = Path(__file__).parent / "licences.yaml"
NONE = "none"
SPDX = get_spdx_licensing()


class Strict(BaseModel):
    """Base of the policy's models: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Statement(Strict):
    """The licence of packages that name none themselves, and where it is said."""

    packages: list[str]
    licence: str
    source: str = Field(min_length=10)


class Exemption(Strict):
    """Packages whose licences are accepted for a reason."""

    packages: list[str]
    licences: list[str]
    reason: str = Field(min_length=20)

    def holds(self, package: str, licences: Iterable[str], denied: Iterable[str]) -> bool:
        """Whether it accepts all these licences of a package; those that are denied it must name."""
        return any(fnmatchcase(package, pattern) for pattern in self.packages) and all(
            licence in self.licences
            or (licence not in denied and any(fnmatchcase(licence, pattern) for pattern in self.licences))
            for licence in licences
        )


class Policy(Strict):
    """The fields of the file."""

    names: dict[str, str]
    allowed: list[str]
    denied: list[str]
    unnamed: list[Statement]
    exceptions: list[Exemption]

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {name.lower(): expression for name, expression in self.names.items()}

    def parsed(self, name: str) -> Any:
        """The SPDX expression that a name stands for; nothing where it isn't known."""
        expression = self._names.get(name.lower(), name)
        try:
            return SPDX.parse(expression, validate=True)
        except ExpressionError:
            return None

    def stated(self, package: str) -> list[str]:
        """The licence of a package that names none itself."""
        return [
            statement.licence
            for statement in self.unnamed
            if any(fnmatchcase(package, pattern) for pattern in statement.packages)
        ]

    def accepted(self, package: str, licences: Sequence[str]) -> str:
        """The reason for which a package's licences are accepted; empty without one."""
        reasons = (one.reason for one in self.exceptions if one.holds(package, licences, self.denied))
        return next(reasons, "")

    def allows(self, expression: Any) -> bool:
        """Whether an expression is allowed: one part of a choice, all parts of a sum."""
        if isinstance(expression, SPDX.OR):
            return any(self.allows(part) for part in expression.args)
        if isinstance(expression, SPDX.AND):
            return all(self.allows(part) for part in expression.args)
        return expression is not None and expression.render() in self.allowed


def load(file: Path = FILE) -> Policy:
    """Read the policy."""
    return Policy.model_validate(yaml.safe_load(file.read_text()))


def examine(bills: Mapping[str, Json]) -> Result:
    """Look at the components of bills of materials, by the name of what each is of."""
    policy, go = load(), go_licences.locked()
    places: dict[str, list[str]] = {}
    named: dict[str, list[str]] = {}
    for bill_name, bill in bills.items():
        for component in bill["components"]:
            purl = component["purl"]
            places.setdefault(purl, []).append(bill_name)
            # The same package may be in two bills, and only one of them knows its licence.
            named[purl] = named.get(purl) or _names(component, go)
    result = Result({"bills of materials": ", ".join(bills), "components": str(len(named))})
    for purl, names in sorted(named.items()):
        judge(policy, purl, names, tuple(places[purl]), result)
    return result


def judge(policy: Policy, purl: str, names: Sequence[str], where: tuple[str, ...], result: Result) -> None:
    """Put a package, with the names of its licences, where it belongs in the result."""
    package, version = purl.partition("?")[0].rsplit("@", 1)
    parsed = {name: policy.parsed(name) for name in names or policy.stated(package)}
    expressions = [expression for expression in parsed.values() if expression is not None]
    # Of several licences of a Maven artefact the user may choose one; elsewhere all hold.
    whole = any if package.startswith("pkg:maven/") else all
    allowed = bool(parsed) and whole(map(policy.allows, parsed.values()))
    licences = [name if expression is None else expression.render() for name, expression in parsed.items()] or [NONE]
    if allowed:
        level = "allowed"
    elif {key for expression in expressions for key in SPDX.license_keys(expression)} & {*policy.denied}:
        level = "denied"
    else:
        level = "not allowed" if parsed and len(expressions) == len(parsed) else "unknown"
    finding = Finding(", ".join(licences), package, where, level, version)
    if allowed:
        result.below.append(finding)
    elif reason := policy.accepted(package, licences):
        result.accepted.append((finding, reason))
    else:
        result.findings.append(finding)


def _names(component: Json, go: Mapping[str, list[str]]) -> list[str]:
    named = [entry["license"]["name"] for entry in component.get("licenses", [])]
    return named or go.get(f"{component['name']}@{component['version']}", [])
