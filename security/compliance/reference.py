"""The generated page of rules and waivers: `python -m refsys.security.compliance.reference` writes it."""

from refsys.infra import paths
from refsys.security.compliance import catalogue, waivers
from refsys.security.compliance.waivers import Waiver, Where

FILE = paths.CHECKOUT / "docs" / "security" / "rules.md"
HEAD = """\
# Rules and waivers

Generated from `security/roles/os_hardening/vars/main/rules.yml` and `security/compliance/waivers.yml` by
`python -m refsys.security.compliance.reference`; a test keeps it in step.

## Waivers

What is not done, and why. The role leaves these rules off, the report of `./refsys compliance` shows these tests as
waived; they still count as failed in the tools' scores, but for tests of OpenSCAP outside the kernel's keys that a
container node cannot be asked.

| where | rules of the role | OpenSCAP | Lynis | Kubernetes | why |
|---|---|---|---|---|---|
"""
RULES = """
## Rules

Ids are those of the CIS Benchmark for Debian 12, v1.1.0 (in brackets: Ubuntu 24.04, where it differs); an `A` in front
marks a rule beyond it. `os_hardening_rules: {ID: false}` switches one off. `audited` rules change nothing on the node:
Lynis and OpenSCAP look at them. Rules that nothing applies are waived everywhere.

| id | level | rule | applied by | off |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    known = waivers.load()
    return HEAD + "\n".join(map(_waiver, known)) + "\n" + RULES + "\n".join(_rules(known)) + "\n"


def _waiver(waiver: Waiver) -> str:
    cells = [", ".join(waiver.tests(tool)) for tool in ("rules", "openscap", "lynis", "kubernetes")]
    return f"| {waiver.where} | {' | '.join(cells)} | {waiver.reason} |"


def _rules(known: list[Waiver]) -> list[str]:
    off = {where: {rule for waiver in known if waiver.where is where for rule in waiver.rules} for where in Where}
    lines = []
    for number, rule in catalogue.load().items():
        places = ", ".join(where for where in Where if number in off[where])
        applied = {"none": "nothing", "audited": "audited"}.get(rule.concern, f"`{rule.concern}.yml`")
        other = f" ({rule.ubuntu})" if rule.ubuntu else ""
        lines.append(f"| {number}{other} | {rule.level} | {rule.title} | {applied} | {places} |")
    return lines


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(page())
