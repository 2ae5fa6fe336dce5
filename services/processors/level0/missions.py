"""What virtual channels and application processes of each mission carry: `missions.yaml`, or a table of its form."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from refsys.services.processors.errors import ProcessorError
from refsys.services.processors.level0.packets import Packets
from refsys.services.processors.level0.reed_solomon import Ints

SHIPPED = Path(__file__).with_name("missions.yaml")
NO_TIME = -1
_GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
# From when on GPS time was how many seconds ahead of UTC (IERS bulletin C); the Sentinels fly since 2014.
_LEAP_SECONDS = (
    (datetime(2012, 7, 1, tzinfo=UTC), 16),
    (datetime(2015, 7, 1, tzinfo=UTC), 17),
    (datetime(2017, 1, 1, tzinfo=UTC), 18),
)
Octet = Annotated[int, Field(ge=6, le=65535)]
Process = Annotated[int, Field(ge=0, le=0x7FE)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimeCode(_Strict):
    """GPS time in a packet: its octet in the packet, octets of seconds and of fractions of a second.

    `centred` fractions stand for the middle of their last bit.
    """

    offset: Octet
    coarse: int = Field(ge=4, le=4)
    fine: int = Field(ge=1, le=3)
    centred: bool = False

    @property
    def end(self) -> int:
        """The octet after it."""
        return self.offset + self.coarse + self.fine

    def of(self, packets: Packets) -> Ints:
        """Times of packets in microseconds since 1970, UTC; -1 for packets that have none."""
        there = packets.secondary & (packets.length >= self.end)
        octets = packets.stream[np.where(there, packets.position, 0)[:, None] + np.arange(self.offset, self.end)]
        values = octets.astype(np.int64)
        seconds, fraction = np.zeros((2, len(values)), np.int64)
        for index in range(self.coarse):
            seconds = seconds << 8 | values[:, index]
        for index in range(self.coarse, self.coarse + self.fine):
            fraction = fraction << 8 | values[:, index]
        micro = ((2 * fraction + self.centred) * 1_000_000) >> (8 * self.fine + 1)
        return np.where(there, seconds * 1_000_000 + micro + _to_utc(seconds), NO_TIME)


def _to_utc(gps_seconds: Ints) -> Ints:
    """What to add, in microseconds, to GPS time to get UTC since 1970."""
    epoch = int(_GPS_EPOCH.timestamp())
    leap = np.full(len(gps_seconds), _LEAP_SECONDS[0][1])
    for since, ahead in _LEAP_SECONDS[1:]:
        leap = np.where(gps_seconds + epoch - ahead >= int(since.timestamp()), ahead, leap)
    return (epoch - leap) * 1_000_000


def gps_seconds(moment: datetime) -> float:
    """GPS time of a moment, in seconds since its epoch."""
    ahead = [leap for since, leap in _LEAP_SECONDS if moment >= since][-1]
    return (moment - _GPS_EPOCH).total_seconds() + ahead


class Content(_Strict):
    """Packets that belong into one kind of product: by virtual channels and a range of application processes.

    `label` names their files; of Sentinel-1's instrument it is the polarisation. `datatake` is the octet of packets at
    which four octets with the data take begin: each has a product of its own.
    """

    channels: tuple[Annotated[int, Field(ge=0, le=62)], ...] = Field(min_length=1)
    processes: tuple[Process, Process]
    type: str = Field(pattern=r"^[A-Z0-9_]{10,11}$")
    label: str = Field(pattern=r"^[a-z0-9]{1,16}$")
    datatake: Octet | None = None

    def datatakes(self, packets: Packets) -> Ints:
        """The data takes of packets; 0 where they have none."""
        found = np.zeros(len(packets.position), np.int64)
        if self.datatake is not None:
            there = packets.secondary & (packets.length >= self.datatake + 4)
            octets = packets.stream[packets.position[there][:, None] + np.arange(self.datatake, self.datatake + 4)]
            found[there] = np.ascontiguousarray(octets).view(">u4").ravel()
        return found


class Mission(_Strict):
    """A mission's table."""

    time: TimeCode
    streams: tuple[Content, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for index, one in enumerate(self.streams):
            for other in self.streams[:index]:
                overlap = one.processes[0] <= other.processes[1] and other.processes[0] <= one.processes[1]
                if overlap and set(one.channels) & set(other.channels):
                    raise ValueError(
                        f"{one.type} ({one.label}) and {other.type} ({other.label}) claim the same packets"
                    )
        return self

    def content(self, channel: int, process: int) -> Content | None:
        """What packets of a virtual channel and application process are."""
        for each in self.streams:
            if channel in each.channels and each.processes[0] <= process <= each.processes[1]:
                return each
        return None


Missions = dict[str, Mission]


def missions(path: Path = SHIPPED) -> Missions:
    """The table of a file, validated."""
    try:
        return TypeAdapter(Missions).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ProcessorError(f"table of missions {path}: {error}", fix="correct it, see docs/level0.md") from None
