"""What the readers of a product's documents put together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lxml import etree

from refsys.services.catalogue.attributes import Attributes
from refsys.services.catalogue.footprint import Ring
from refsys.services.catalogue.xml import moment, text


@dataclass
class Draft:
    """Metadata in the making; `packet_stores` says what each packet store of a Sentinel-1 satellite is for."""

    attributes: Attributes = field(default_factory=Attributes)
    start: datetime | None = None
    end: datetime | None = None
    rings: list[Ring] = field(default_factory=list)
    ring_problem: str = ""
    timeliness: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    packet_stores: Mapping[int, str] = field(default_factory=dict)

    def period(self, root: etree._Element, start: str, end: str) -> None:
        """Take the period from the elements of these names, unless there is one already."""
        if self.start is None:
            self.start, self.end = moment(text(root, start), start), moment(text(root, end), end)

    def add_rings(self, rings: list[Ring] | str) -> None:
        """Take the outlines, unless there are some already; a text says why they can't be read."""
        if isinstance(rings, str):
            self.ring_problem = self.ring_problem or rings
        elif not self.rings:
            self.rings = rings
