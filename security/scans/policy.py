"""What counts as a finding."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).parent / "policy.yaml"
SEVERITIES = ("negligible", "low", "medium", "high", "critical")


class Policy(BaseModel):
    """The fields of `policy.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database_days: int = Field(ge=1)
    severity: Literal["negligible", "low", "medium", "high", "critical"]

    def counts(self, severity: str) -> bool:
        """Whether a vulnerability is beyond the policy; one that nobody has judged is."""
        return severity not in SEVERITIES or SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)


def load(file: Path = FILE) -> Policy:
    """Read the policy."""
    return Policy.model_validate(yaml.safe_load(file.read_text()))
