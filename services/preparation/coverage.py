"""How much of a footprint lies over a mask: the areas of land, sea or other that mission planning publishes."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import shapely
from lxml import etree
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import RowMapping

from refsys.services.catalogue.xml import local
from refsys.services.common.store import ObjectStore

LIMIT_BYTES = 256 * 2**20
KEPT = 4
CHUNK_BYTES = 2**18


class MaskError(Exception):
    """A mask can't be read; the message says why."""


class Masks:
    """The masks of the object store; the last used ones stay in memory. Threads may share it."""

    def __init__(self, store: ObjectStore) -> None:
        """Nothing is read before it is asked for."""
        self._store = store
        self._lock = threading.Lock()
        self._read: OrderedDict[UUID, list[BaseGeometry]] = OrderedDict()

    def percent(self, footprint: str, mask: RowMapping) -> float:
        """How much of a footprint (GeoJSON) lies over a mask; 0..100.

        Raises:
            MaskError: the mask can't be read.
        """
        area = shapely.make_valid(shape(json.loads(footprint)))
        tree = shapely.STRtree(self._areas(mask))
        near = tree.geometries.take(tree.query(area, predicate="intersects"))
        if not len(near):
            return 0.0
        common = shapely.intersection(area, shapely.union_all(near))
        return 100.0 * common.area / area.area if area.area else 100.0

    def _areas(self, mask: RowMapping) -> list[BaseGeometry]:
        with self._lock:
            found = self._read.get(mask["id"])
            if found is None:
                found = list(read_mask(self._store.read(mask["bucket"], mask["key"]), mask["name"]))
                self._read[mask["id"]] = found
                while len(self._read) > KEPT:
                    self._read.popitem(last=False)
            self._read.move_to_end(mask["id"])
            return found


def read_mask(chunks: Iterator[bytes], name: str) -> Iterator[BaseGeometry]:
    """The polygons of a mask file in GML: `coordinates` are `lon,lat`, a `posList` is `lat lon`.

    Raises:
        MaskError: it can't be read, or has none.
    """
    parser = etree.XMLPullParser(
        events=("end",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    size, count = 0, 0
    try:
        for chunk in chunks:
            size += len(chunk)
            if size > LIMIT_BYTES:
                raise MaskError(f"mask {name} has over {LIMIT_BYTES} bytes")
            parser.feed(chunk)
            for _, element in parser.read_events():
                if isinstance(element, etree._Element) and local(element) == "Polygon":
                    count += 1
                    yield _polygon(element)
                    element.clear()
        parser.close()
    except (etree.XMLSyntaxError, ValueError, shapely.errors.ShapelyError) as error:
        raise MaskError(f"mask {name} can't be read: {error}") from None
    if not count:
        raise MaskError(f"mask {name} has no polygon")


def _polygon(element: Any) -> BaseGeometry:
    shell, *holes = [
        _ring(ring) for kind in ("outerBoundaryIs", "exterior", "innerBoundaryIs", "interior")
        for ring in element.iter(f"{{*}}{kind}")
    ]  # fmt: skip
    return shapely.make_valid(shapely.Polygon(shell, holes))


def _ring(element: Any) -> list[tuple[float, float]]:
    for each in element.iter("{*}coordinates", "{*}posList"):
        text = each.text or ""
        if local(each) == "coordinates":
            pairs = [pair.split(",") for pair in text.split()]
            return [(float(pair[0]), float(pair[1])) for pair in pairs]
        numbers = [float(number) for number in text.split()]
        return list(zip(numbers[1::2], numbers[::2], strict=True))
    raise ValueError("a boundary has no coordinates")
