"""Errors that an operator can act upon."""


class UserError(Exception):
    """Something the operator can mend: says what is wrong and how to fix it; shown without a traceback."""

    def __init__(self, message: str, *, fix: str) -> None:
        """Keep the cause (`message`) and the remedy (`fix`)."""
        super().__init__(message)
        self.fix = fix

    def __str__(self) -> str:
        """Cause and remedy on two lines."""
        return f"{self.args[0]}\n  fix: {self.fix}"
