"""The real Pulumi engine, driven by programs of the tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pulumi import automation as auto

Program = Callable[[], None]


@dataclass
class Stack:
    """One stack; each call runs the engine with the program given."""

    stack: auto.Stack
    states: Path

    def up(self, program: Program, **options: object) -> auto.UpResult:
        """Run `pulumi up`."""
        return self.stack.up(program=program, color="never", **options)  # type: ignore[arg-type]

    def preview(self, program: Program) -> auto.PreviewResult:
        """Run `pulumi preview --diff`."""
        return self.stack.preview(program=program, color="never", diff=True)

    def refresh(self) -> auto.RefreshResult:
        """Run `pulumi refresh`."""
        return self.stack.refresh(color="never")

    def destroy(self) -> auto.DestroyResult:
        """Run `pulumi destroy`."""
        return self.stack.destroy(color="never")

    def state(self) -> str:
        """Return the state as it is stored."""
        return (self.states / "plugin" / f"{self.stack.name}.json").read_text()
