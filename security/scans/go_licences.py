"""Licences of Go modules, whose builds name none: told from the modules' own files once, and kept in a lock file.

After a change of the toolchain: `python -m refsys.security.scans.go_licences`
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.toolchain.lock import MODULES
from refsys.platform.images.licences import of_folder
from refsys.security.scans import bills

LOCK_FILE = Path(__file__).parent / "go-licences.json"

AT_A_TIME = 50


def locked() -> dict[str, list[str]]:
    """Licences by `module@version`."""
    found: dict[str, list[str]] = json.loads(LOCK_FILE.read_text())
    return found


def lock(known: Iterable[str]) -> dict[str, list[str]]:
    """Fetch the modules that are not in the lock file yet, and add them; drop those that are no longer used."""
    wanted = sorted(known)
    old = locked() if LOCK_FILE.exists() else {}
    found = {module: old[module] for module in wanted if old.get(module)}
    missing = [module for module in wanted if module not in found]
    for start in range(0, len(missing), AT_A_TIME):
        for entry in _download(missing[start : start + AT_A_TIME]):
            found[f"{entry['Path']}@{entry['Version']}"] = of_folder(Path(entry["Dir"]))
    LOCK_FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found


def _download(modules: list[str]) -> Iterator[dict[str, str]]:
    environment = os.environ | {"GOMODCACHE": str(paths.cache() / "go" / "mod"), "GOTOOLCHAIN": "local"}
    command = ["go", "mod", "download", "-json", *modules]
    with tempfile.TemporaryDirectory() as folder:
        # The sources are those that the tools' locks name, by hash.
        (Path(folder) / "go.mod").write_text("module refsys.tool/licences\n\ngo 1.26\n")
        (Path(folder) / "go.sum").write_text("".join(file.read_text() for file in MODULES.glob("*/go.sum")))
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"Go modules can't be fetched: {done.stdout[-500:]}{done.stderr[-500:]}",
            fix="make the Go module proxy reachable (go env GOPROXY)",
        )
    decoder, text = json.JSONDecoder(), done.stdout.strip()
    while text:
        entry, end = decoder.raw_decode(text)
        yield entry
        text = text[end:].strip()


if __name__ == "__main__":
    lock(bills.go_modules())
