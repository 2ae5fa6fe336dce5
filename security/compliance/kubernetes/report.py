"""What an examination found."""

from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["pass", "fail", "waived", "not applicable"]


class Strict(BaseModel):
    """Base of the models: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Result(Strict):
    """One check."""

    id: str
    """The benchmark's number."""
    title: str
    level: int
    status: Status
    seen: str
    expected: str
    remediation: str
    reason: str | None = None
    """Why it is waived."""


class KubernetesReport(Strict):
    """All checks of one environment."""

    environment: str
    results: list[Result]

    @property
    def counts(self) -> dict[str, int]:
        """Number of checks by status."""
        return dict(Counter(result.status for result in self.results))

    @property
    def failed(self) -> list[Result]:
        """What fails and is not waived."""
        return [result for result in self.results if result.status == "fail"]


class Seen(Strict):
    """What a check saw, before waivers count."""

    status: Literal["pass", "fail", "not applicable"]
    seen: str
    expected: str


def judged(right: bool, seen: object, expected: str) -> Seen:
    """Return a pass or a failure."""
    return Seen(status="pass" if right else "fail", seen=str(seen), expected=expected)
