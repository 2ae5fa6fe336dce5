"""Grype, the vulnerability scanner: never asks the network by itself, knows only the imported database."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsys.infra import paths, shell
from refsys.infra.toolchain import tool_bin


@dataclass(frozen=True)
class Match:
    """A vulnerability of a component."""

    id: str
    severity: str
    package: str
    version: str
    fix: str
    """In which version it is mended, or how the distributor judges it."""


def database_folder() -> Path:
    """Where the vulnerability database lies."""
    return paths.cache() / "scans" / "database"


def call(*arguments: str | Path, ok: tuple[int, ...] = (0,)) -> str:
    """Run Grype."""
    quiet = {
        "GRYPE_DB_CACHE_DIR": str(database_folder()),
        "GRYPE_DB_AUTO_UPDATE": "false",
        # Its own limit of age is not the policy's.
        "GRYPE_DB_VALIDATE_AGE": "false",
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
        "NO_COLOR": "1",
    }
    # A configuration file of whoever calls must not change what is found.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GRYPE_")}
    return shell.run(tool_bin("grype") / "grype", *arguments, env=clean | quiet, cwd=database_folder(), ok=ok)


def matches(bill: Path) -> list[Match]:
    """The vulnerabilities of what a bill of materials (CycloneDX) names."""
    document = json.loads(call("--quiet", "--output=json", f"sbom:{bill}"))
    return [_match(entry) for entry in document["matches"]]


def _match(entry: dict[str, Any]) -> Match:
    vulnerability, artifact = entry["vulnerability"], entry["artifact"]
    fix = vulnerability.get("fix", {})
    versions = ", ".join(fix.get("versions") or [])
    return Match(
        vulnerability["id"],
        vulnerability["severity"].lower(),
        artifact["name"],
        artifact["version"],
        f"mended in {versions}" if versions else fix.get("state") or "unknown",
    )
