"""What holds for every role."""

import re
from typing import Any

import pytest
import yaml
from tests.unit.ansible import reference, roles

MAX_VARIABLES = 30
MAX_TASK_LINES = 120


@pytest.mark.parametrize("role", roles.names())
def test_every_variable_has_the_roles_prefix_and_a_specification(role: str) -> None:
    options = roles.specification(role)["main"]["options"]
    entries = {name for spec in roles.specification(role).values() for name in spec["options"]}
    assert all(name.startswith(f"{role}_") for name in entries)
    assert set(roles.defaults(role)) <= entries
    assert len(entries) <= MAX_VARIABLES
    assert all(option["description"] for option in options.values())


@pytest.mark.parametrize("role", roles.names())
def test_a_variable_is_either_required_or_has_a_default(role: str) -> None:
    defaults = roles.defaults(role)
    for entry, spec in roles.specification(role).items():
        for name, option in spec["options"].items():
            assert bool(option.get("required")) != (name in defaults), f"{role}, {entry}: {name}"


@pytest.mark.parametrize("role", roles.names())
def test_defaults_in_the_specification_are_the_real_ones(role: str) -> None:
    defaults = roles.defaults(role)
    for spec in roles.specification(role).values():
        for name, option in spec["options"].items():
            if "default" in option:
                assert defaults[name] == option["default"], name


@pytest.mark.parametrize("role", roles.names())
def test_the_main_file_is_only_an_index(role: str) -> None:
    tasks: list[dict[str, Any]] = yaml.safe_load((roles.folder(role) / "tasks/main.yml").read_text())
    assert all(set(task) <= {"name", "ansible.builtin.import_tasks", "when"} for task in tasks)


def test_task_files_are_short() -> None:
    assert [file for file in roles.files("tasks/*.yml") if len(file.read_text().splitlines()) > MAX_TASK_LINES] == []


@pytest.mark.parametrize("role", roles.names())
def test_a_role_reads_no_variable_of_another_role(role: str) -> None:
    others = [other for other in roles.names() if other != role and not role.startswith(other)]
    names = re.compile(rf"\b_?(?:{'|'.join(others)})_[a-z_]+")
    # Programs read no variables; their names may be like some.
    for file in (file for file in roles.folder(role).rglob("*.*") if file.suffix not in (".py", ".pyc")):
        found = [name for name in names.findall(file.read_text()) if name not in ("kubernetes_node_name",)]
        assert not found, f"{file}: {found}"


def test_secrets_are_never_logged() -> None:
    secret = re.compile(r"password|_key_pem|encryption_key|admin\.content|kubeadm-join")
    for file in roles.files("tasks/*.yml"):
        for task in _tasks(yaml.safe_load(file.read_text())):
            module = next((key for key in task if key.startswith("ansible.builtin.")), "")
            arguments = yaml.safe_dump({key: value for key, value in task.items() if key in (module, "vars")})
            if module in ("ansible.builtin.copy", "ansible.builtin.template", "ansible.builtin.uri") and secret.search(
                arguments.replace("kubernetes_control_plane_kubeconfig", "")
            ):
                assert task.get("no_log"), f"{file}: {task['name']}"


def _tasks(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for task in tasks:
        found.append(task)
        for part in ("block", "rescue", "always"):
            found += _tasks(task.get(part, []))
    return found


def test_the_reference_is_in_step() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: python -m tests.unit.ansible.reference"
