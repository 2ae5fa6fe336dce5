"""The ground stations, as data: where they are, what they see, and with how many antennas."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from refsys.services.common.settings import read_file

SHIPPED = Path(__file__).parent / "stations.yaml"
Code = Annotated[str, Field(pattern=r"^[A-Z0-9_]{4}$")]
Antenna = Annotated[str, Field(pattern=r"^[A-Z0-9_-]{1,16}$")]


class Station(BaseModel):
    """A station: latitude and longitude in degrees, altitude in m (WGS 84), elevation mask in degrees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Code
    name: str = Field(min_length=1, max_length=64)
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    altitude: float = Field(ge=-500, le=9000)
    mask: float = Field(default=5, ge=0, lt=90)
    antennas: tuple[Antenna, ...] = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stations: list[Station] = Field(min_length=1)

    @field_validator("stations")
    @classmethod
    def _codes_differ(cls, stations: list[Station]) -> list[Station]:
        codes = [station.code for station in stations]
        if len(set(codes)) != len(codes):
            raise ValueError("two stations have the same code; give each its own")
        return stations


def read_stations(path: Path = SHIPPED) -> dict[str, Station]:
    """Return the stations of a file by their codes; raises `SettingsError` if it is wrong."""
    return {each.code: each for each in read_file(path, _File.model_validate, of="stations").stations}
