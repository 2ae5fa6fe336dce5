"""Names of level-0 products, after the conventions in `services/common/patterns.py`."""

from dataclasses import dataclass
from datetime import UTC, datetime

COMPACT = "%Y%m%dT%H%M%S"
_BOTH = {frozenset({"vv", "vh"}): "DV", frozenset({"hh", "hv"}): "DH"}
_ALONE = {"vv": "SV", "hh": "SH", "vh": "VH", "hv": "HV"}
_TIMELINESS = {"NRT": "NR", "STC": "ST", "NTC": "NT"}


@dataclass(frozen=True)
class Naming:
    """What goes into names of all products of a job."""

    satellite: str
    orbit: int
    station: str
    timeliness: str
    generated: datetime

    @property
    def mission(self) -> str:
        """`S1`, `S2` or `S3`."""
        return self.satellite[:2]

    @property
    def manifest(self) -> str:
        """The name of the manifest in a product."""
        return "xfdumanifest.xml" if self.mission == "S3" else "manifest.safe"

    def product(self, kind: str, start: datetime, stop: datetime, *, datatake: int, labels: set[str], crc: int) -> str:
        """The name of a product's folder; `crc` is that of its manifest."""
        site = f"{self.station:_<4.4}"
        if self.mission == "S1":
            take = f"{datatake & 0xFFFFFF:06X}" if datatake else "_" * 6
            pair = polarisation(labels)
            times = f"{start:{COMPACT}}_{stop:{COMPACT}}"
            return f"{self.satellite}_{kind}{pair}_{times}_{self.orbit:06d}_{take}_{crc:04X}.SAFE"
        if self.mission == "S2":
            sensed = f"S{start:{COMPACT}}" if "_DS" in kind else f"V{start:{COMPACT}}_{stop:{COMPACT}}"
            baseline = "_N00.01" if "_DS" in kind else ""
            return f"{self.satellite}_OPER_{kind}_{site}_{self.generated:{COMPACT}}_{sensed}{baseline}"
        seconds = min(int((stop - start).total_seconds()), 9999)
        times = f"{start:{COMPACT}}_{stop:{COMPACT}}_{self.generated:{COMPACT}}"
        timeliness = _TIMELINESS.get(self.timeliness, "NR")
        return f"{self.satellite}_{kind}_{times}_{seconds:04d}{'_' * 13}_{site[:3]}_O_{timeliness}_001.SEN3"


def polarisation(labels: set[str]) -> str:
    """The polarisation in a name of Sentinel-1, of the channels that a product has."""
    found = frozenset(labels & set(_ALONE))
    return _BOTH.get(found) or (_ALONE[min(found)] if len(found) == 1 else "__")


def crc16(content: bytes) -> int:
    """The CRC-16 (x¹⁶ + x¹² + x⁵ + 1, from all ones) that ends names of Sentinel-1."""
    value = 0xFFFF
    for octet in content:
        value ^= octet << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def moment(microseconds: int) -> datetime:
    """A time of an annotation."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)
