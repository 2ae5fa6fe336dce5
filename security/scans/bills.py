"""Bills of materials of all that an environment runs, and of what sets it up."""

import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from refsys.infra.errors import UserError
from refsys.infra.toolchain import installed, load_lock
from refsys.infra.toolchain.install import tool_folder
from refsys.platform.images import cached, golang, image_names, optional_image_names, sbom
from refsys.platform.images.python import component
from refsys.platform.images.store import Json

ELF = b"\x7fELF"


def of_images() -> dict[str, Path]:
    """Bill by image, as the images were built.

    Raises:
        UserError: an image is not in the cache.
    """
    found, missing = {}, []
    for name in image_names():
        if image := cached(name):
            found[name] = image.sbom_path
        else:
            missing.append(name)
    found |= {name: image.sbom_path for name in optional_image_names() if (image := cached(name))}
    if missing:
        raise UserError(
            f"images are not in the cache: {', '.join(missing)}",
            fix="./refsys up builds them; without an environment: .venv/bin/python -m refsys.platform.images build all",
        )
    return found


def of_tools() -> Json:
    """The Go modules of the tools that are installed on this machine, and on nodes from here."""
    return sbom.document("tools", "1", [], list(_tool_components()))


def of_python() -> Json:
    """The packages of the Python environment that this program runs in."""
    found = [component(one) for one in distributions(path=[path for path in sys.path if "site-packages" in path])]
    return sbom.document("python", "1", [], found)


def go_modules() -> set[str]:
    """Every Go module (`path@version`) of the tools, which images are made of too; all tools must be installed."""
    missing = [tool.name for tool in load_lock().values() if tool.modules and not installed(tool)]
    if missing:
        raise UserError(
            f"tools are not built: {', '.join(missing)}", fix=f"./refsys toolchain build {' '.join(missing)}"
        )
    return {f"{entry['name']}@{entry['version']}" for entry in _tool_components() if entry["name"] != "stdlib"}


def _tool_components() -> Iterable[Json]:
    for tool in load_lock().values():
        if tool.modules and installed(tool):
            for program in sorted((tool_folder(tool) / "bin").iterdir()):
                with program.open("rb") as handle:
                    if handle.read(4) == ELF:
                        yield from golang.modules(program)
