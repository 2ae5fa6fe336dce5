"""What DRMAA (GFD.22) calls the states of jobs, and what can be done with them."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is (GFD.22 §4.1)."""

    QUEUED_ACTIVE = "queued_active"
    USER_ON_HOLD = "user_on_hold"
    RUNNING = "running"
    USER_SUSPENDED = "user_suspended"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self in {JobState.DONE, JobState.FAILED}


class Action(StrEnum):
    """What can be done with a job: what runs is suspended, what waits is held. DRMAA does not know `restart`."""

    SUSPEND = "suspend"
    RESUME = "resume"
    HOLD = "hold"
    RELEASE = "release"
    TERMINATE = "terminate"
    RESTART = "restart"
