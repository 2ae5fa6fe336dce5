"""The image of the services has every library that they import."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from refsys.infra import paths

SERVICES = paths.CHECKOUT / "services"
LOCK = SERVICES / "requirements.lock"


def _imported(file: Path) -> set[str]:
    """The names of the packages that a module imports by their full names."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"refsys"}


def test_everything_that_is_imported_is_locked() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", LOCK.read_text().lower(), re.M))
    files = [file for file in SERVICES.rglob("*.py") if "components" not in file.relative_to(SERVICES).parts]
    assert files
    installed = packages_distributions()
    for name in sorted(set().union(*map(_imported, files))):
        providers = {re.sub(r"[-_.]+", "-", each).lower() for each in installed.get(name, [])}
        assert providers & locked, f"{name} is imported, but not in {LOCK.relative_to(paths.CHECKOUT)}"
