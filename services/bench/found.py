"""What a comparison found."""

from pydantic import Field

from refsys.services.common.messages import Model


class Variable(Model):
    """How far the numbers of a variable are from the reference; errors are absolute, of numbers on both sides."""

    name: str
    values: int
    differing: int
    """Beyond the tolerance, those included that can't be compared."""
    not_comparable: int
    """NaN or infinite on one side."""
    first: int | None
    """Place of the first of the differing ones."""
    largest_error: float
    mean_error: float
    p99_error: float
    """99 % of the errors are not above it; up to 0.8 % too high."""
    largest_relative_error: float


class File(Model):
    """A file beside its reference."""

    name: str
    reference: str
    kind: str
    equal: bool
    reason: str = ""
    differences: list[str] = Field(default_factory=list)
    """The first of them."""
    variables: list[Variable] = Field(default_factory=list)


class Comparison(Model):
    """Outputs beside their reference."""

    equal: bool
    files: int
    different: list[File] = Field(default_factory=list)
    """The first of them."""
    different_files: int = 0
    within: list[File] = Field(default_factory=list)
    """Files of numbers that differ within the tolerance; the first of them."""
    missing: list[str] = Field(default_factory=list)
    extra: list[str] = Field(default_factory=list)

    @property
    def reason(self) -> str:
        """In a sentence."""
        if self.equal:
            near = f", {len(self.within)} of them within the tolerance" if self.within else ""
            return f"{self.files} files are as the reference{near}"
        parts = [f"{self.different_files} of {self.files} files differ"] if self.different_files else []
        parts += [f"{len(names)} {what}" for names, what in ((self.missing, "missing"), (self.extra, "extra")) if names]
        if self.different:
            parts.append(f"first {self.different[0].name}: {self.different[0].reason}")
        return ", ".join(parts) or "there is nothing to compare"
