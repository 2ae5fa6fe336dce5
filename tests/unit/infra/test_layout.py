"""Rules that hold the tree together."""

import subprocess
import sys

from refsys.infra import paths


def test_root_folders_do_not_shadow_the_standard_library() -> None:
    for module in ("platform", "secrets"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}; print({module}.__file__)"],
            cwd=paths.CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert str(paths.CHECKOUT / module) not in done.stdout


def test_modules_of_the_program_do_not_shadow_the_standard_library() -> None:
    # The language host puts infra/ first on the module path.
    names = {path.stem for path in (paths.CHECKOUT / "infra").iterdir() if not path.name.startswith("__")}
    assert names & sys.stdlib_module_names == set()
