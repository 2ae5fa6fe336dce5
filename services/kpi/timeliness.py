"""How soon a product has to be published (`timeliness.yaml`)."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from refsys.services.common.settings import read_file


class Limit(BaseModel):
    """Seconds within which products of a mission, a level and a timeliness class are published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Z0-9_]{1,32}$")
    mission: str = Field(pattern=r"^S[123]$")
    level: str = ""
    timeliness: str = Field(default="", alias="class")
    seconds: int = Field(gt=0)

    def fits(self, mission: str, level: str, timeliness: str) -> bool:
        """Whether it is the limit of such products."""
        return self.mission == mission and self.level in {"", level} and self.timeliness in {"", timeliness}


def load_limits(path: Path) -> list[Limit]:
    """The limits of a file."""
    return read_file(path, TypeAdapter(list[Limit]).validate_python, setting="REFSYS_KPI_TIMELINESS_FILE", of="limit")


def limit_of(limits: Sequence[Limit], mission: str, level: str, timeliness: str) -> Limit | None:
    """The limit of a product; None if it has none."""
    return next((limit for limit in limits if limit.fits(mission, level, timeliness)), None)
