"""The real engine with one of the own plugins on PATH, its state in a folder of the test."""

import os
import sys
from pathlib import Path

from refsys.infra import paths
from refsys.infra.toolchain import tool_bin


def variables(folder: Path, package: str) -> dict[str, str]:
    """The engine's variables; the plugin `pulumi-resource-<package>` runs from this checkout with this Python."""
    plugin = folder / "bin" / f"pulumi-resource-{package}"
    plugin.parent.mkdir()
    source = paths.CHECKOUT / "src"
    module = f"refsys.infra.plugins.{package}"
    plugin.write_text(f'#!/bin/sh\nPYTHONPATH={source} exec {sys.executable} -m {module} "$@"\n')
    plugin.chmod(0o755)
    (folder / "state").mkdir()
    folders = [str(plugin.parent), str(tool_bin("pulumi")), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {
        "PATH": os.pathsep.join(folders),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
