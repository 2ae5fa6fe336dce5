"""What was found and is accepted, with the reason and until when."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refsys.infra.errors import UserError
from refsys.security.scans.report import Finding

FILE = Path(__file__).parent / "waivers.yaml"


class Waiver(BaseModel):
    """One accepted finding: its id, and the package or port it is in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    package: str
    reason: str = Field(min_length=20)
    until: date


def load(file: Path = FILE) -> list[Waiver]:
    """Every waiver.

    Raises:
        UserError: an entry is not as described at the head of the file, or its day is over.
    """
    try:
        waivers = [Waiver.model_validate(entry) for entry in yaml.safe_load(file.read_text())["waivers"]]
    except (ValidationError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{file.name} is not valid: {error}", fix=f"correct {file}") from None
    today = datetime.now(UTC).date()
    if ended := [waiver for waiver in waivers if waiver.until < today]:
        names = ", ".join(f"{waiver.id} in {waiver.package} (until {waiver.until})" for waiver in ended)
        raise UserError(
            f"waivers have ended: {names}", fix=f"mend what they accept, or judge it anew, then change {file}"
        )
    return waivers


def split(findings: Iterable[Finding], waivers: Sequence[Waiver]) -> tuple[list[Finding], list[tuple[Finding, str]]]:
    """Findings that stand, and those that are accepted, with the reason."""
    reasons = {(waiver.id, waiver.package): f"{waiver.reason} (until {waiver.until})" for waiver in waivers}
    stand, accepted = [], []
    for finding in findings:
        reason = reasons.get((finding.id, finding.what))
        if reason is None:
            stand.append(finding)
        else:
            accepted.append((finding, reason))
    return stand, accepted
