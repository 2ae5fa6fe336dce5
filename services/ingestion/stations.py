"""The stations file: which stations are polled, how, and what is taken from each."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, ValidationError, model_validator

from refsys.services.common.families import Family
from refsys.services.common.settings import ReadableFile, SettingsError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class Inbox(BaseModel):
    """A rule: files whose whole name matches `match` and not `ignore` belong to `family` and `mission`."""

    model_config = ConfigDict(extra="forbid")

    match: re.Pattern[str]
    ignore: re.Pattern[str] | None = None
    family: Family
    mission: Literal["S1", "S2", "S3"]

    def takes(self, name: str) -> bool:
        """Whether the rule takes a file of this name."""
        return bool(self.match.fullmatch(name)) and not (self.ignore and self.ignore.fullmatch(name))


class Station(BaseModel):
    """An AUXIP/PRIP station. `overlap_seconds` is how far behind its own cursor a poll looks again."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    type: Literal["auxip"] = "auxip"
    url: HttpUrl
    token_url: HttpUrl
    client_id: str
    username: str | None = None
    password_file: ReadableFile | None = None
    client_secret_file: ReadableFile | None = None
    ca_file: ReadableFile | None = None
    poll_seconds: float = Field(default=10, gt=0, le=3600)
    overlap_seconds: float = Field(default=2400, ge=0)
    page_size: int = Field(default=500, ge=1, le=1000)
    inboxes: list[Inbox] = Field(min_length=1)

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together; set both or none")
        if self.username is None and self.client_secret_file is None:
            raise ValueError("no credentials; set username and password_file, or client_secret_file")
        return self

    def inbox_of(self, name: str) -> Inbox | None:
        """The first inbox that takes a file of this name."""
        return next((inbox for inbox in self.inboxes if inbox.takes(name)), None)


_STATIONS = TypeAdapter(list[Station])


def load_stations(path: Path) -> dict[str, Station]:
    """Stations by name; `SettingsError` names the station, the field and the reason."""
    try:
        stations = _STATIONS.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SettingsError(f"REFSYS_STATIONS_FILE {path} is not YAML: {str(error).replace(chr(10), ' ')}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError(f"REFSYS_STATIONS_FILE {path}: {problems}") from None
    by_name = {station.name: station for station in stations}
    if len(by_name) != len(stations):
        raise SettingsError(f"REFSYS_STATIONS_FILE {path}: two stations have the same name; rename one")
    return by_name
