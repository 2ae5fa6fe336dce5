"""The rules, as data: what contacts are worth, and what they must be."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from refsys.services.common.settings import ReadableFile, read_file
from refsys.services.orbits.satellites import Timeliness

SHIPPED = Path(__file__).parent / "rules.yaml"


class RulesSettings(BaseSettings):
    """Where the rules are; those of the distribution unless set."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_SRA_")

    rules_file: ReadableFile = SHIPPED


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Priority(_Strict):
    """What a second of contact is worth with data of a mission and timeliness."""

    mission: Literal["S1", "S2", "S3"]
    timeliness: Timeliness = ""
    weight: int = Field(ge=1, le=1000)


class StationRules(_Strict):
    """What is otherwise at a station: elevation in degrees, set-up time in seconds."""

    minimum_elevation: float | None = Field(default=None, ge=0, lt=90)
    setup_seconds: float | None = Field(default=None, ge=0, le=7200)


class Unavailability(_Strict):
    """When a station, or one antenna of it, receives nothing, and why."""

    station: str
    antenna: str = ""
    start: AwareDatetime
    stop: AwareDatetime
    reason: str = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.stop <= self.start:
            raise ValueError("stop is not after start; correct one of them")
        return self

    def concerns(self, station: str, antenna: str, start: datetime, stop: datetime) -> bool:
        """Whether it falls into a contact with an antenna."""
        return self.station == station and self.antenna in ("", antenna) and self.start < stop and start < self.stop


class Rules(_Strict):
    """All rules; `version` names them in each plan."""

    version: int = Field(ge=1)
    priorities: tuple[Priority, ...]
    fresh_minutes: float = Field(gt=0, le=10_000)
    minimum_elevation: float = Field(ge=0, lt=90)
    minimum_contact_seconds: float = Field(gt=0, le=3600)
    minimum_dump_gbit: float = Field(ge=0)
    setup_seconds: float = Field(ge=0, le=7200)
    stations: Mapping[str, StationRules] = Field(default_factory=dict)
    unavailable: tuple[Unavailability, ...] = ()

    def weight(self, mission: str, timeliness: str) -> int:
        """What a second is worth."""
        known = (each.weight for each in self.priorities if (each.mission, each.timeliness) == (mission, timeliness))
        return next(known, 1)

    def elevation_of(self, station: str) -> float:
        """Above which a contact may be, at a station."""
        own = self.stations.get(station)
        return self.minimum_elevation if own is None or own.minimum_elevation is None else own.minimum_elevation

    def setup_of(self, station: str) -> float:
        """Seconds between two contacts of an antenna of a station."""
        own = self.stations.get(station)
        return self.setup_seconds if own is None or own.setup_seconds is None else own.setup_seconds


def read_rules(path: Path = SHIPPED) -> Rules:
    """Return the rules of a file; raises `SettingsError` if they are wrong."""
    return read_file(path, Rules.model_validate, setting="REFSYS_SRA_RULES_FILE", of="rules")
