"""What an examination found: parts of an environment, from the lowest layer up."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.text import Text

SHOWN_FINDINGS = 3


class State(StrEnum):
    """How a part is."""

    WELL = "well"
    NOTICE = "notice"
    """It works, and somebody should look at something."""
    UNKNOWN = "unknown"
    """What is below it is down, or did not answer in time."""
    UNWELL = "not well"


MARKS = {
    State.WELL: ("✓", "green"),
    State.NOTICE: ("!", "yellow"),
    State.UNKNOWN: ("?", "yellow"),
    State.UNWELL: ("✗", "red"),
}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, its likely cause, and what to do next."""

    what: str
    next_step: str
    serious: bool = True
    """The environment does not do its work, or soon won't."""


@dataclass(frozen=True)
class Part:
    """One part of an environment: what was seen in a line, what is wrong, and all figures for machines."""

    name: str
    seen: str
    findings: tuple[Finding, ...] = ()
    known: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """How the part is."""
        if any(finding.serious for finding in self.findings):
            return State.UNWELL
        if not self.known:
            return State.UNKNOWN
        return State.NOTICE if self.findings else State.WELL


@dataclass(frozen=True)
class Report:
    """All parts of an environment."""

    environment: str
    parts: tuple[Part, ...]
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        """Whether nothing serious was found, and everything was seen."""
        return all(part.state in {State.WELL, State.NOTICE} for part in self.parts)

    @property
    def serious(self) -> list[tuple[Part, Finding]]:
        """What keeps the environment from being well, the likely cause of the others first."""
        return [(part, finding) for part in self.parts for finding in part.findings if finding.serious]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        parts = [
            {
                "part": part.name,
                "state": str(part.state),
                "seen": part.seen,
                "findings": [asdict(finding) for finding in part.findings],
                "facts": dict(part.facts),
            }
            for part in self.parts
        ]
        return {
            "environment": self.environment,
            "well": self.well,
            "seconds": round(self.seconds, 1),
            "parts": parts,
        }

    def show(self, console: Console) -> None:
        """For people."""
        console.print(self._headline(), soft_wrap=True)
        width = max(len(part.name) for part in self.parts)
        for part in self.parts:
            mark, style = MARKS[part.state]
            console.print(Text.assemble((mark, style), f" {part.name:<{width}}  {part.seen}"), soft_wrap=True)
            for finding in part.findings[:SHOWN_FINDINGS]:
                colour = "red" if finding.serious else "yellow"
                console.print(Text.assemble("    ", (finding.what, colour)), soft_wrap=True)
                console.print(Text.assemble("    next: ", (finding.next_step, "bold")), soft_wrap=True)
            if (more := len(part.findings) - SHOWN_FINDINGS) > 0:
                console.print(Text(f"    and {more} more: --json shows all", "dim"), soft_wrap=True)

    def _headline(self) -> Text:
        if self.well:
            notices = sum(part.state is State.NOTICE for part in self.parts)
            look = ", with something to look at" if notices else ""
            return Text.assemble(f"environment {self.environment} is ", ("well", "bold green"), look)
        unwell = [part.name for part in self.parts if part.state in {State.UNWELL, State.UNKNOWN}]
        hint = "; begin with the first, it may be the cause of the others" if len(unwell) > 1 else ""
        return Text.assemble(
            f"environment {self.environment} is ", ("not well", "bold red"), f": {', '.join(unwell)}{hint}"
        )
