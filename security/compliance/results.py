"""What a tool said of a node."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ToolResult:
    """A tool's own score, in percent, and its tests by outcome (id → what was tested or found)."""

    tool: str
    version: str
    score: float
    tests: int
    """How many tests counted."""
    failed: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    """Tests that the tool could not do itself."""


class ResultError(Exception):
    """A tool's result can't be read; the message names the file."""
