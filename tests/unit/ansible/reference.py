"""Make docs/reference/roles.md from the roles' argument specifications: `python -m tests.unit.ansible.reference`."""

import json
from typing import Any

from tests.unit.ansible import roles

PAGE = roles.CHECKOUT / "docs" / "reference" / "roles.md"

HEAD = """\
# Roles

Variables of the Ansible roles in `platform/roles`, `security/roles` and `monitoring/roles`. Made from
`meta/argument_specs.yml` by `python -m tests.unit.ansible.reference`; a test keeps it in step.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(role) for role in roles.names())])


def section(role: str) -> str:
    """The part about one role."""
    lines = [f"## {role}", ""]
    for entry, spec in roles.specification(role).items():
        if entry != "main":
            lines += [f"### {role}: {entry}", ""]
        lines += [f"{spec['short_description']}. {' '.join(spec['description'])}", ""]
        lines += ["| variable | type | default | meaning |", "|---|---|---|---|"]
        lines += rows(spec["options"], roles.defaults(role))
        lines.append("")
    return "\n".join(lines)


def rows(options: dict[str, Any], defaults: dict[str, Any], parent: str = "") -> list[str]:
    """Table rows of options and what lies in them."""
    made = []
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        made.append(
            f"| `{parent}{name}` | {kind} | {_default(name, option, defaults)} | {_text(option['description'])} |"
        )
        made += rows(option.get("options", {}), {}, f"{parent}{name}.")
    return made


def _default(name: str, option: dict[str, Any], defaults: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    value = defaults.get(name, option.get("default", ""))
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value != "" else ""


def _text(description: str) -> str:
    return " ".join(description.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
