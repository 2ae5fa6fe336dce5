"""Retention policies: family, name pattern and days (interface description of the data lifecycle, §2.4)."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from refsys.services.common.settings import read_file

NEVER = -1


def _days(value: int) -> int:
    if value == NEVER or value > 0:
        return value
    raise ValueError(f"{value} is neither a number of days from 1 on nor {NEVER} (never)")


Days = Annotated[int, Field(le=36_500), AfterValidator(_days)]


class Policy(BaseModel):
    """Products whose family and name match are kept `days` days after insertion; -1 for ever.

    Those `available_in_lta` have a copy in a long-term archive: once evicted they stay on the PRIP, offline, to be
    ordered.
    """

    model_config = ConfigDict(extra="forbid")

    family: re.Pattern[str]
    name: re.Pattern[str] = re.compile(".*")
    days: Days
    available_in_lta: bool = False

    def applies(self, family: str, name: str) -> bool:
        """Whether both patterns match the whole text."""
        return bool(self.family.fullmatch(family) and self.name.fullmatch(name))


class Policies(BaseModel):
    """The retention of an environment; the first policy that applies decides."""

    model_config = ConfigDict(extra="forbid")

    days_after_compression: Days
    policies: list[Policy] = Field(min_length=1)

    def eviction_date(self, family: str, name: str, inserted: datetime) -> datetime | None:
        """When a product inserted at a time is evicted; None for never, also if no policy applies."""
        policy = self._policy(family, name)
        return _after(inserted, policy.days if policy else NEVER)

    def available_in_lta(self, family: str, name: str) -> bool:
        """Whether a long-term archive has a product."""
        policy = self._policy(family, name)
        return policy is not None and policy.available_in_lta

    def _policy(self, family: str, name: str) -> Policy | None:
        return next((policy for policy in self.policies if policy.applies(family, name)), None)

    def shortened(self, date: datetime | None, compressed: datetime | None) -> datetime | None:
        """When an uncompressed product is evicted that also lies compressed since a time."""
        if date is None or compressed is None:
            return date
        return min(date, _after(compressed, self.days_after_compression) or date)


def _after(moment: datetime, days: int) -> datetime | None:
    return None if days == NEVER else moment + timedelta(days=days)


def load_policies(path: Path) -> Policies:
    """Read the policies file; `SettingsError` names the field and the reason."""
    return read_file(path, Policies.model_validate)
