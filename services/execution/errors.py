"""How a job fails: a named outcome and a sentence that an operator understands."""

from refsys.services.production.states import Outcome


class JobError(Exception):
    """The job can't end well, and another try would end the same."""

    def __init__(self, reason: str, outcome: Outcome = Outcome.NOK, *, killed: bool = False) -> None:
        """Keep the reason; `killed`: the container ended from outside."""
        super().__init__(reason)
        self.outcome = outcome
        self.killed = killed
