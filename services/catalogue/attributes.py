"""The attributes of a product with the names and types of the PRIP (ESA-EOPG-EOPGC-IF-3)."""

from datetime import datetime

from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common.messages import Attribute, AttributeType, iso

STRING, INTEGER, DOUBLE, DATE = (
    AttributeType.STRING,
    AttributeType.INTEGER,
    AttributeType.DOUBLE,
    AttributeType.DATE,
)

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
    "instrumentConfigurationID": INTEGER,
    "baselineCollection": STRING,
    "sliceNumber": INTEGER,
    "totalSlices": INTEGER,
    "swathIdentifier": STRING,
    "polarisationChannels": STRING,
    "datatakeID": INTEGER,
    "productConsolidation": STRING,
    "productComposition": STRING,
    "qualityStatus": STRING,
    "qualityInfo": DOUBLE,
    "productGroupId": STRING,
}


class Attributes:
    """Attributes in the making; each is set once, empty values are left out."""

    def __init__(self) -> None:
        """None yet."""
        self._values: dict[str, str | int | float] = {}

    def set(self, name: str, value: str | datetime | None) -> None:
        """Set an attribute from its text; raises `UnreadableError` if the text does not fit its type."""
        if value is None or value == "":
            return
        kind = TYPES[name]
        try:
            if isinstance(value, datetime):
                self._values[name] = iso(value)
            elif kind is INTEGER:
                self._values[name] = int(value)
            elif kind is DOUBLE:
                self._values[name] = float(value)
            else:
                self._values[name] = value
        except ValueError:
            raise UnreadableError(f"{name} is not of type {kind.value}: {value!r:.40}") from None

    def items(self) -> list[Attribute]:
        """All attributes, by name."""
        return [Attribute(name=name, type=TYPES[name], value=value) for name, value in sorted(self._values.items())]
