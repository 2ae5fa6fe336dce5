"""States of jobs as DRMAA has them."""

from typing import Any

import pytest

from refsys.services.jobs.reading import state_of
from refsys.services.production.drmaa import JobState


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ({"state": "WAITING"}, JobState.QUEUED_ACTIVE),
        ({"state": "WAITING", "hold": True}, JobState.USER_ON_HOLD),
        ({"state": "GENERATING", "phase": "QUEUED"}, JobState.QUEUED_ACTIVE),
        ({"state": "GENERATING", "phase": "RUNNING", "started": 1}, JobState.RUNNING),
        ({"state": "GENERATING", "phase": "SUSPENDED", "started": 1, "hold": True}, JobState.USER_SUSPENDED),
        ({"state": "TERMINATED", "outcome": "WARNING"}, JobState.DONE),
        ({"state": "TERMINATED", "outcome": "CANCELLED", "hold": True}, JobState.FAILED),
    ],
)
def test_states_are_those_of_drmaa(row: dict[str, Any], state: JobState) -> None:
    assert state_of({"outcome": None, "phase": None, "hold": None, "started": None} | row) is state
