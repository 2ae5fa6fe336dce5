"""The routing file: remotes, and rules that say which files go from where to where, and when (docs/routing.md)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from refsys.services.common.rclone import Remote
from refsys.services.common.settings import ReadableFile, read_file

_PLACE = r"^[a-z][a-z0-9_]{0,30}:[^\x00-\x1f]*$"


class Rule(BaseModel):
    """Files of `source` that match go to `target`; both are `<remote>:<folder>`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    source: str = Field(pattern=_PLACE)
    target: str = Field(pattern=_PLACE)
    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    schedule: str
    bandwidth: str = Field(default="off", pattern=r"^(off|\d+(\.\d+)?[BKMG]?)$")
    delete_source: bool = False
    deadline_seconds: int = Field(default=86_400, ge=1)
    attempts: int = Field(default=8, ge=1, le=100)

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        try:
            CronSim(value, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"{value!r} is not a cron schedule of five fields: {error}") from None
        return value

    @model_validator(mode="after")
    def _not_into_itself(self) -> Self:
        source, target = (place.rstrip("/") + "/" for place in (self.source, self.target))
        if target.startswith(source) or source.startswith(target):
            raise ValueError("source and target lie in each other; give two places")
        return self

    def next_after(self, moment: datetime) -> datetime:
        """When the source is listed next, in UTC."""
        following: datetime = next(CronSim(self.schedule, moment))
        return following


class Routing(BaseModel):
    """The whole file; `ca_file` holds the authorities (PEM) of all remotes, if not the system's."""

    model_config = ConfigDict(extra="forbid")

    ca_file: ReadableFile | None = None
    remotes: list[Remote] = Field(default_factory=list)
    rules: list[Rule] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        remotes, names = [remote.name for remote in self.remotes], [rule.name for rule in self.rules]
        for kind, given in (("remotes", remotes), ("rules", names)):
            if len(set(given)) != len(given):
                raise ValueError(f"two {kind} have the same name")
        for rule in self.rules:
            for place in (rule.source, rule.target):
                if place.partition(":")[0] not in remotes:
                    raise ValueError(f"rule {rule.name}: remote of {place!r} is not among the remotes; add it there")
        return self

    def type_of(self, place: str) -> str:
        """The type of the remote of a place."""
        return next(remote.type for remote in self.remotes if remote.name == place.partition(":")[0])


def load_routing(path: Path) -> Routing:
    """Read the routing file; raises `SettingsError` naming the entry, the reason and the fix."""
    return read_file(path, lambda document: Routing.model_validate(document or {}))
