"""What is not done, and why: the one file that role, checker and documentation read."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = Path(__file__).parent / "waivers.yml"


class Where(StrEnum):
    """Nodes that a waiver holds for."""

    EVERYWHERE = "everywhere"
    KUBERNETES_NODE = "kubernetes_node"
    CONTAINER = "container"


class Waiver(BaseModel):
    """Rules of the role, and tests of the tools, that are not met for one reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[str] = []
    openscap: list[str] = []
    lynis: list[str] = []
    kubernetes: list[str] = []
    where: Where
    reason: str = Field(min_length=20)

    @model_validator(mode="after")
    def _waives_something(self) -> Self:
        if not (self.rules or self.openscap or self.lynis or self.kubernetes):
            raise ValueError("name what is waived: rules, openscap, lynis or kubernetes")
        return self

    def tests(self, tool: str) -> list[str]:
        """What it waives of a tool, `openscap` or `lynis`, of the role's `rules`, or of the checks of `kubernetes`."""
        found: list[str] = getattr(self, tool)
        return found


def load(file: Path = FILE) -> list[Waiver]:
    """Every waiver.

    Raises:
        pydantic.ValidationError: an entry is not as described at the head of the file.
    """
    return [Waiver.model_validate(entry) for entry in yaml.safe_load(file.read_text())["waivers"]]


def reasons(waivers: Iterable[Waiver], tool: str, places: Iterable[Where]) -> dict[str, str]:
    """Reason by test of a tool, for a node that is in all these places."""
    there = set(places) | {Where.EVERYWHERE}
    return {test: waiver.reason for waiver in waivers if waiver.where in there for test in waiver.tests(tool)}
