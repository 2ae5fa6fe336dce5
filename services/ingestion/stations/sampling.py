"""Sampled systematic production: only sessions whose downlink falls in a window of their mission are taken.

Written from reference-system.md §4.5. Windows repeat as a cron expression says (`0 19 * * 5`, in UTC) and last some
minutes each. A mission without windows is taken whole; auxiliary files are never filtered.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.stations.common import Mission

_DOWNLINK = re.compile(r"(?:^L|_)(\d{14})", re.ASCII)
_MINUTE = timedelta(minutes=1)


def _cron(expression: str) -> str:
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is not a cron expression (minute hour day month weekday): {error}") from None
    return expression


class Window(BaseModel):
    """A window that opens at every time of the cron expression `start` (UTC) and lasts `minutes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Annotated[str, AfterValidator(_cron)]
    minutes: int = Field(ge=1, le=31 * 24 * 60)

    def is_open(self, moment: datetime) -> bool:
        """Whether the window is open at `moment`; its end is not in it."""
        moment = moment.astimezone(UTC)
        following = moment.replace(second=0, microsecond=0) + _MINUTE
        opened = next(CronSim(self.start, following, reverse=True), None)
        return opened is not None and moment < opened + timedelta(minutes=self.minutes)


Sampling = dict[Mission, list[Window]]


def reason_to_filter(sampling: Sampling, mission: Mission, downlink: datetime) -> str | None:
    """Why a session of a mission is not taken; None if it is."""
    windows = sampling.get(mission)
    if not windows or any(window.is_open(downlink) for window in windows):
        return None
    return f"downlink at {downlink.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} is outside the sampling windows of {mission}"


def downlink_time(file: ListedFile) -> datetime:
    """When a session was received, as its id tells (`S1A_20200105072204051312`); else the file's publication."""
    found = _DOWNLINK.search(file.session.session_id) if file.session else None
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if found else file.publication_date
    except ValueError:
        return file.publication_date
