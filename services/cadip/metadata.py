"""`$metadata` and the service document of the CADIP (OData 4.0 CSDL)."""

from typing import Any

from lxml import etree
from lxml.builder import ElementMaker

from refsys.services.cadip.sets import FILES, SESSIONS, SETS
from refsys.services.distribution.odata.entities import EntitySet
from refsys.services.distribution.odata.operands import Kind

NAMESPACE = "OData.CSC"
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"
_TYPES = {
    Kind.GUID: "Edm.Guid",
    Kind.TEXT: "Edm.String",
    Kind.NUMBER: "Edm.Int64",
    Kind.BOOLEAN: "Edm.Boolean",
    Kind.DATE: "Edm.DateTimeOffset",
}
_NAMES = {"Sessions": "Session", "Files": "File", "QualityInfo": "QualityInfo"}

_x = ElementMaker(namespace=_EDMX, nsmap={"edmx": _EDMX})
_e = ElementMaker(namespace=_EDM, nsmap={None: _EDM})


def service_document() -> dict[str, Any]:
    """Return the list of entity sets."""
    sets = [{"name": each.name, "kind": "EntitySet", "url": each.name} for each in SETS]
    return {"@odata.context": "$metadata", "value": sets}


def metadata_document() -> bytes:
    """Return the entity model as CSDL XML."""
    container = _e.EntityContainer(
        *(_e.EntitySet(Name=each.name, EntityType=f"{NAMESPACE}.{_NAMES[each.name]}") for each in SETS),
        Name="CADIPData",
    )
    schema = _e.Schema(*(_type(each) for each in SETS), container, Namespace=NAMESPACE)
    document = _x.Edmx(_x.DataServices(schema), Version="4.0")
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _type(entity_set: EntitySet) -> etree._Element:
    properties = [
        _e.Property(
            Name=name,
            Type="Edm.Int32" if name in {"Channel", "NumChannels"} else _TYPES[kind],
            Nullable=str(bool(column.nullable)).lower(),
        )
        for name, (kind, column) in entity_set.properties.items()
    ]
    navigation = [
        _e.NavigationProperty(Name=name, Type=f"Collection({NAMESPACE}.{_NAMES[name]})", ContainsTarget="true")
        for name in (SESSIONS.expandable if entity_set is SESSIONS else ())
    ]
    stream = {"HasStream": "true"} if entity_set is FILES else {}
    element: etree._Element = _e.EntityType(
        _e.Key(_e.PropertyRef(Name="Id")), *properties, *navigation, Name=_NAMES[entity_set.name], **stream
    )
    return element
