"""What is waived: one file for all tools, `security/compliance/waivers.yml`."""

from collections.abc import Mapping
from pathlib import Path

import yaml

FILE = Path(__file__).parents[1] / "waivers.yml"
TOOL = "cis-kubernetes"


def reasons() -> Mapping[str, str]:
    """Return the reason of each check that is waived."""
    entries = yaml.safe_load(FILE.read_text())
    return {entry["rule"]: entry["reason"] for entry in entries if entry["tool"] == TOOL}
