"""How a processor ends: the exit codes that execution understands (reference-system.md §2.4), and its errors.

0 is good, 1 to 127 good with a warning, above 127 an error. 128 + n is left to signals.
"""

GOOD, DEGRADED = 0, 1
WRONG_INPUT, NO_PRODUCT, WRONG_PRODUCT, UNEXPECTED = 200, 201, 202, 255


class ProcessorError(Exception):
    """The processor can't do its work: says what is wrong and what to do; shown without a traceback."""

    def __init__(self, message: str, *, fix: str, code: int = WRONG_INPUT) -> None:
        """Keep the cause, the remedy, and the exit code."""
        super().__init__(f"{message}; fix: {fix}")
        self.code = code
