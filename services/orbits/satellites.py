"""The satellites, as data: what they record, keep and send."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from refsys.services.common.settings import read_file

SHIPPED = Path(__file__).parent / "satellites.yaml"
Timeliness = Literal["", "PT", "NRT", "STC", "FAST24", "NTC"]


class Mode(BaseModel):
    """What a mode of an instrument records, in Mbit/s, and how soon it is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(gt=0)
    timeliness: Timeliness = ""


class Satellite(BaseModel):
    """A satellite: memory in Gbit, downlink and mean rate of recording in Mbit/s.

    The mean rate counts where no mission plan is known; `modes` say what the acquisitions of a plan record.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mission: Literal["S1", "S2", "S3"]
    memory: float = Field(gt=0)
    downlink: float = Field(gt=0)
    mean_rate: float = Field(ge=0)
    default_timeliness: Timeliness = ""
    modes: dict[str, Mode] = Field(default_factory=dict)

    def rate(self, mode: str) -> float:
        """What an acquisition in a mode records, in Mbit/s; that of an unknown mode is the mean."""
        known = self.modes.get(mode)
        return known.rate if known else self.mean_rate


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    satellites: dict[str, Satellite] = Field(min_length=1)


def read_satellites(path: Path = SHIPPED) -> dict[str, Satellite]:
    """Return the satellites of a file by name (`S1A`); raises `SettingsError` if it is wrong."""
    return read_file(path, _File.model_validate, of="satellites").satellites
