"""The images of the services and of the processors have every library that they import."""

import ast
import os
import re
import subprocess
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


def _unlocked(files: list[Path], lock: Path) -> list[str]:
    """The packages that modules import, and that a lock doesn't have."""
    locked = set(re.findall(r"^([\w.-]+)==", lock.read_text().lower(), re.M))
    installed, found = packages_distributions(), []
    for name in sorted(set().union(*map(_imported, files))):
        providers = {re.sub(r"[-_.]+", "-", each).lower() for each in installed.get(name, [])}
        if not providers & locked:
            found.append(name)
    return found


def test_everything_that_is_imported_is_locked() -> None:
    own = {"components", "processors", "desktop"}
    files = [file for file in SERVICES.rglob("*.py") if not own & set(file.relative_to(SERVICES).parts)]
    assert files
    assert not _unlocked(files, LOCK)


def test_everything_that_processors_import_is_locked() -> None:
    """Also what they import of the services: found by importing it."""
    program = (
        "import sys; from refsys.services.processors.level0 import __main__;"
        "from refsys.services.processors import quality;"
        "own = [each for name, each in sys.modules.items() if name.startswith('refsys.services')];"
        "print(*(each.__file__ for each in own if each.__file__))"
    )
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, check=True)
    files = [Path(each) for each in found.stdout.split() if each.endswith(".py")]
    assert len(files) > 20
    assert not _unlocked(files, SERVICES / "processors/requirements.lock")


def test_everything_that_the_desktop_imports_is_locked() -> None:
    files = list((SERVICES / "desktop").glob("*.py"))
    assert files
    assert not _unlocked(files, SERVICES / "desktop/requirements.lock")
