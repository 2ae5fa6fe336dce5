"""Processes: the task tables that users may order jobs of, described as OGC API - Processes asks for it."""

from typing import Any

from sqlalchemy import Engine

from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ondemand.problems import NO_PROCESS
from refsys.services.preparation.chains import Chains
from refsys.services.production.chains import BySession, UserParameter, triggering
from refsys.services.production.shelf import Place, Shelf, shipped

OUTPUT = "products"


class Processes:
    """The processes that are offered; threads may share it."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is asked before somebody wants to know."""
        self._chains, self._shelf = Chains(engine), Shelf(shipped())

    def all(self) -> list[Place]:
        """All processes, by their names."""
        self._shelf = self._chains.changed() or self._shelf
        return sorted(self._shelf.on_demand(), key=name_of)

    def named(self, name: str) -> Place:
        """A process by its name.

        Raises:
            ODataError: 404 if there is none.
        """
        found = next((place for place in self.all() if name_of(place) == name), None)
        if found is None:
            raise ODataError(404, NO_PROCESS, f"there is no process {name[:120]!r}: GET processes lists them")
        return found


def name_of(place: Place) -> str:
    """The name of a process; chains have no dot in theirs."""
    return f"{place.chain.name}.{place.table.name}"


def has_area(place: Place) -> bool:
    """Whether products can be chosen by area: downlink sessions lie nowhere on Earth."""
    return not isinstance(place.table.trigger, BySession)


def summary(place: Place, root: str) -> dict[str, Any]:
    """A process in the list; `root` is the public address of the API."""
    offer = place.table.on_demand
    assert offer is not None, "only what is offered is described"  # noqa: S101 - as `Shelf.on_demand` has it
    address = f"{root}/processes/{name_of(place)}"
    return {
        "id": name_of(place),
        "version": place.chain.processor.version,
        "title": offer.title,
        "description": offer.description or place.chain.description,
        "keywords": [place.chain.mission, place.chain.processor.name],
        "jobControlOptions": ["async-execute", "dismiss"],
        "outputTransmission": ["reference"],
        "links": [{"href": address, "rel": "self", "type": "application/json", "title": offer.title}],
    }


def description(place: Place, root: str, most: int) -> dict[str, Any]:
    """A process with its inputs and outputs; at most `most` products may be named."""
    execution = {
        "href": f"{root}/processes/{name_of(place)}/execution",
        "rel": "http://www.opengis.net/def/rel/ogc/1.0/execute",
        "type": "application/json",
        "title": "Order",
    }
    shown = summary(place, root)
    made = ", ".join(kind for output in place.table.outputs for kind in output.product_types)
    return shown | {
        "links": [*shown["links"], execution],
        "inputs": inputs(place, most),
        "outputs": {
            OUTPUT: {
                "title": "Products",
                "description": f"Links to the products made: {made}",
                "schema": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["href"],
                        "properties": {"href": {"type": "string", "format": "uri"}, "title": {"type": "string"}},
                    },
                },
            }
        },
    }


def inputs(place: Place, most: int) -> dict[str, Any]:
    """The inputs of a process: which products are processed, and the parameters that users may set."""
    kinds = ", ".join(sorted(kind for _, kind in triggering(place.table.trigger)))
    described: dict[str, Any] = {
        "products": {
            "title": "Products by name",
            "description": f"Names of products of {kinds}; or choose them by the other inputs",
            "minOccurs": 0,
            "maxOccurs": most,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        },
        "datetime": {
            "title": "Sensing time",
            "description": "Begin and end (UTC without an offset), as 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z",
            "minOccurs": 0,
            "maxOccurs": 1,
            "schema": {"type": "string", "pattern": "^[^/]+/[^/]+$"},
        },
    }
    if has_area(place):
        described |= {
            "bbox": {
                "title": "Bounding box",
                "description": "West, south, east, north in degrees (CRS84); west exceeds east over the dateline",
                "minOccurs": 0,
                "maxOccurs": 1,
                "schema": {
                    "allOf": [
                        {"format": "ogc-bbox"},
                        {
                            "type": "object",
                            "required": ["bbox"],
                            "properties": {
                                "bbox": {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}},
                                "crs": {"type": "string", "format": "uri"},
                            },
                        },
                    ]
                },
            },
            "polygon": {
                "title": "Area",
                "description": "GeoJSON geometry in degrees (CRS84), longitude first",
                "minOccurs": 0,
                "maxOccurs": 1,
                "schema": {"allOf": [{"format": "geojson-geometry"}, {"type": "object", "required": ["type"]}]},
            },
        }
    offer = place.table.on_demand
    return described | {name: _parameter(name, each) for name, each in (offer.parameters if offer else {}).items()}


def _parameter(name: str, parameter: UserParameter) -> dict[str, Any]:
    rule = {"enum": parameter.values} if parameter.values else {"pattern": f"^(?:{parameter.pattern})$"}
    return {
        "title": name,
        "description": parameter.description,
        "minOccurs": 0,
        "maxOccurs": 1,
        "schema": {"type": "string", "maxLength": 200, **rule},
    }
