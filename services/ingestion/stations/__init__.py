"""The stations file: which stations are polled, how, what is taken from each, and when sessions are."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from refsys.services.common.settings import read_file
from refsys.services.ingestion.stations.common import Inbox, Name
from refsys.services.ingestion.stations.odata import AuxipStation, CadipStation, LtaStation
from refsys.services.ingestion.stations.s3 import S3Station
from refsys.services.ingestion.stations.sampling import Sampling
from refsys.services.ingestion.stations.tree import EdipStation, FolderStation, XbipStation

Station = Annotated[
    AuxipStation | CadipStation | LtaStation | XbipStation | EdipStation | S3Station | FolderStation,
    Field(discriminator="type"),
]

# A file holds one connection to the database while it is fetched: more stations would hold each other up.
MAX_FILES = 40

__all__ = [
    "AuxipStation",
    "CadipStation",
    "EdipStation",
    "FolderStation",
    "Inbox",
    "LtaStation",
    "Name",
    "S3Station",
    "Station",
    "StationsFile",
    "XbipStation",
    "load_stations",
]


class StationsFile(BaseModel):
    """The whole file; a plain list is taken as its `stations`, and a station without `type` as `auxip`."""

    model_config = ConfigDict(extra="forbid")

    stations: list[Station] = []
    sampling: Sampling = {}

    @field_validator("stations", mode="before")
    @classmethod
    def _typed(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"type": "auxip", **entry} if isinstance(entry, dict) else entry for entry in value]

    @field_validator("stations")
    @classmethod
    def _distinct(cls, value: list[Station]) -> list[Station]:
        if len({station.name for station in value}) != len(value):
            raise ValueError("two stations have the same name; rename one")
        return value

    @field_validator("stations")
    @classmethod
    def _affordable(cls, value: list[Station]) -> list[Station]:
        total = sum(station.files_at_once for station in value)
        if total > MAX_FILES:
            raise ValueError(
                f"all stations together have {total} files in work, one more than `connections` each, {MAX_FILES} are"
                " possible; give some stations fewer `connections`"
            )
        return value

    @property
    def by_name(self) -> dict[str, Station]:
        """The stations by their names."""
        return {station.name: station for station in self.stations}


def load_stations(path: Path) -> StationsFile:
    """Read the file; `SettingsError` names the station, the field and the reason."""

    def parse(document: Any) -> StationsFile:
        return StationsFile.model_validate({"stations": document} if isinstance(document, list) else document)

    return read_file(path, parse, setting="REFSYS_STATIONS_FILE")
