"""The hardening's rules, as the role reads them."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

ROLE = Path(__file__).parents[1] / "roles" / "os_hardening"
FILE = ROLE / "vars" / "main" / "rules.yml"


class Rule(BaseModel):
    """One rule: its CIS level and section, the part of the role that applies it, what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: int = Field(ge=1, le=2)
    section: str
    concern: str
    title: str
    ubuntu: str = ""


def load() -> dict[str, Rule]:
    """Every rule by its id."""
    document = yaml.safe_load(FILE.read_text())["_os_hardening_catalogue"]
    return {str(number): Rule.model_validate(entry) for number, entry in document.items()}
