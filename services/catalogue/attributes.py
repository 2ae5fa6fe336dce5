"""The attributes of a product with the names and types of the PRIP (ESA-EOPG-EOPGC-IF-3)."""

import math
from datetime import datetime

from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common.messages import Attribute, AttributeType, iso

STRING, INTEGER, DOUBLE, DATE, BOOLEAN = (
    AttributeType.STRING,
    AttributeType.INTEGER,
    AttributeType.DOUBLE,
    AttributeType.DATE,
    AttributeType.BOOLEAN,
)
NOTE = "footprintNote"
"""The one attribute that the interface document does not name: why a footprint was repaired or left out."""

TYPES = {
    "productType": STRING,
    "productClass": STRING,
    "processingLevel": STRING,
    "processingDate": DATE,
    "processingCenter": STRING,
    "processorName": STRING,
    "processorVersion": STRING,
    "platformShortName": STRING,
    "platformSerialIdentifier": STRING,
    "instrumentShortName": STRING,
    "operationalMode": STRING,
    "beginningDateTime": DATE,
    "endingDateTime": DATE,
    "orbitNumber": INTEGER,
    "lastOrbitNumber": INTEGER,
    "relativeOrbitNumber": INTEGER,
    "lastRelativeOrbitNumber": INTEGER,
    "orbitDirection": STRING,
    "cycleNumber": INTEGER,
    "timeliness": STRING,
    "startTimeFromAscendingNode": DOUBLE,
    "completionTimeFromAscendingNode": DOUBLE,
    "instrumentConfigurationID": INTEGER,
    "baselineCollection": STRING,
    "sliceNumber": INTEGER,
    "totalSlices": INTEGER,
    "sliceProductFlag": BOOLEAN,
    "segmentStartTime": DATE,
    "swathIdentifier": STRING,
    "polarisationChannels": STRING,
    "datatakeID": INTEGER,
    "productConsolidation": STRING,
    "productComposition": STRING,
    "qualityStatus": STRING,
    "qualityInfo": DOUBLE,
    "cloudCover": DOUBLE,
    "tileId": STRING,
    "datastripId": STRING,
    "productGroupId": STRING,
    NOTE: STRING,
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_BIGGEST = 2**63


class Attributes:
    """Attributes in the making; the first value given for a name stays, empty ones are left out."""

    def __init__(self) -> None:
        """None yet."""
        self._values: dict[str, str | int | float | bool] = {}

    def set(self, name: str, value: str | datetime | None) -> None:
        """Set an attribute from its text, unless it has a value; raises `UnreadableError` if the type does not fit."""
        if value is None or value == "" or name in self._values:
            return
        kind = TYPES[name]
        try:
            if isinstance(value, datetime):
                self._values[name] = iso(value)
            elif kind is INTEGER:
                self._values[name] = _integer(value)
            elif kind is DOUBLE:
                self._values[name] = _number(value)
            elif kind is BOOLEAN:
                self._values[name] = _BOOLEANS[value.lower()]
            else:
                self._values[name] = value[:4000].replace("\x00", "")
        except (ValueError, KeyError):
            raise UnreadableError(f"{name} is not of type {kind.value}: {value!r:.40}") from None

    def get(self, name: str) -> str | int | float | bool | None:
        """The value of an attribute, None if it has none."""
        return self._values.get(name)

    def items(self) -> list[Attribute]:
        """All attributes, by name."""
        return [Attribute(name=name, type=TYPES[name], value=value) for name, value in sorted(self._values.items())]


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else _BIGGEST
    if abs(value) >= _BIGGEST:
        raise ValueError
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
