"""`$metadata` and the service document of the PRIP (OData 4.0 CSDL, PRIP ICD entity model)."""

from typing import Any

from lxml import etree
from lxml.builder import ElementMaker

NAMESPACE = "OData.CSC"
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"
_ATTRIBUTE_VALUES = {
    "String": "Edm.String",
    "Integer": "Edm.Int64",
    "Double": "Edm.Double",
    "Boolean": "Edm.Boolean",
    "DateTimeOffset": "Edm.DateTimeOffset",
}
_PRODUCT = {
    "Id": ("Edm.Guid", False),
    "Name": ("Edm.String", False),
    "ContentType": ("Edm.String", False),
    "ContentLength": ("Edm.Int64", False),
    "OriginDate": ("Edm.DateTimeOffset", True),
    "PublicationDate": ("Edm.DateTimeOffset", False),
    "EvictionDate": ("Edm.DateTimeOffset", True),
    "Online": ("Edm.Boolean", False),
    "Checksum": (f"Collection({NAMESPACE}.Checksum)", False),
    "ProductionType": (f"{NAMESPACE}.ProductionType", False),
    "ContentDate": (f"{NAMESPACE}.TimeRange", True),
    "Footprint": ("Edm.Geography", True),
    "GeoFootprint": ("Edm.Geography", True),
}

_NOTIFIED = dict.fromkeys(
    ("NotificationEndpoint", "NotificationEpUsername", "LastNotificationError"), ("Edm.String", True)
)
# Reference-system.md §3.4 and §3.5; what answers at these addresses is in `distribution/delivery`.
DELIVERY_SETS = {
    "DeletedProducts": (
        "DeletedProduct",
        {name: _PRODUCT[name] for name in _PRODUCT if name not in {"Online", "EvictionDate"}}
        | {"DeletionDate": ("Edm.DateTimeOffset", False), "DeletionCause": ("Edm.String", False)},
    ),
    "Orders": (
        "Order",
        {
            "Id": ("Edm.Guid", False),
            "Status": ("Edm.String", False),
            "StatusMessage": ("Edm.String", False),
            "OrderSize": ("Edm.Int64", False),
            "SubmissionDate": ("Edm.DateTimeOffset", False),
            "EstimatedDate": ("Edm.DateTimeOffset", True),
            "CompletedDate": ("Edm.DateTimeOffset", True),
            "EvictionDate": ("Edm.DateTimeOffset", True),
            "Priority": ("Edm.Int32", False),
            "ProductId": ("Edm.Guid", False),
            "ProductName": ("Edm.String", False),
        }
        | _NOTIFIED,
    ),
    "Subscriptions": (
        "Subscription",
        {
            "Id": ("Edm.Guid", False),
            "FilterParam": ("Edm.String", False),
            "StageOrder": ("Edm.Boolean", False),
            "Priority": ("Edm.Int32", False),
            "Status": ("Edm.String", False),
            "StatusMessage": ("Edm.String", True),
            "SubscriptionEvent": ("Collection(Edm.String)", False),
            "SubscriptionType": ("Edm.String", False),
            "SubmissionDate": ("Edm.DateTimeOffset", False),
            "LastNotificationDate": ("Edm.DateTimeOffset", True),
        }
        | _NOTIFIED,
    ),
}

_x = ElementMaker(namespace=_EDMX, nsmap={"edmx": _EDMX})
_e = ElementMaker(namespace=_EDM, nsmap={None: _EDM})


def service_document(context: str) -> dict[str, Any]:
    """Return the list of entity sets."""
    return {
        "@odata.context": context,
        "value": [{"name": name, "kind": "EntitySet", "url": name} for name in ("Products", *DELIVERY_SETS)],
    }


def metadata_document() -> bytes:
    """Return the entity model as CSDL XML."""
    schema = _e.Schema(
        _entity("Product", {"HasStream": "true"}, _PRODUCT, ("Attributes", "Quicklooks", "Assets")),
        _entity("Attribute", {"Abstract": "true"}, dict.fromkeys(("Name", "ValueType"), ("Edm.String", False))),
        *(
            _e.EntityType(
                _property("Value", edm, nullable=False),
                Name=f"{name}Attribute",
                BaseType=f"{NAMESPACE}.Attribute",
            )
            for name, edm in _ATTRIBUTE_VALUES.items()
        ),
        _entity("Quicklook", {"HasStream": "true"}, {"Image": ("Edm.String", False)}),
        _entity(
            "Asset",
            {},
            {"Id": ("Edm.Guid", False), "Type": ("Edm.String", False), "DownloadLink": ("Edm.String", False)},
        ),
        _complex("ProductName", {"Name": "Edm.String"}),
        _complex("Checksum", {"Algorithm": "Edm.String", "Value": "Edm.String", "ChecksumDate": "Edm.DateTimeOffset"}),
        _complex("TimeRange", {"Start": "Edm.DateTimeOffset", "End": "Edm.DateTimeOffset"}),
        _e.EnumType(
            _e.Member(Name="systematic_production", Value="0"),
            _e.Member(Name="on_demand_default", Value="1"),
            _e.Member(Name="on_demand_non_default", Value="2"),
            Name="ProductionType",
        ),
        *(_entity(name, {}, properties) for name, properties in DELIVERY_SETS.values()),
        *(_function(name) for name in ("Intersects", "Within", "Disjoints")),
        _e.Action(
            _parameter("Products", f"Collection({NAMESPACE}.Product)"),
            _parameter("FilterProducts", f"Collection({NAMESPACE}.ProductName)"),
            _e.ReturnType(Type=f"Collection({NAMESPACE}.Product)", Nullable="false"),
            Name="FilterList",
            IsBound="true",
            EntitySetPath="Products",
        ),
        _e.EntityContainer(
            _e.EntitySet(Name="Products", EntityType=f"{NAMESPACE}.Product"),
            *(_e.EntitySet(Name=name, EntityType=f"{NAMESPACE}.{kind}") for name, (kind, _) in DELIVERY_SETS.items()),
            Name="PRIPData",
        ),
        Namespace=NAMESPACE,
    )
    document = _x.Edmx(_x.DataServices(schema), Version="4.0")
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _entity(
    name: str,
    options: dict[str, str],
    properties: dict[str, tuple[str, bool]],
    navigation: tuple[str, ...] = (),
) -> etree._Element:
    key = next(iter(properties))
    element: etree._Element = _e.EntityType(
        _e.Key(_e.PropertyRef(Name=key)),
        *(_property(each, edm, nullable) for each, (edm, nullable) in properties.items()),
        *(
            _e.NavigationProperty(
                Name=each, Type=f"Collection({NAMESPACE}.{each.removesuffix('s')})", ContainsTarget="true"
            )
            for each in navigation
        ),
        Name=name,
        **options,
    )
    return element


def _complex(name: str, properties: dict[str, str]) -> etree._Element:
    element: etree._Element = _e.ComplexType(
        *(_property(each, edm, nullable=False) for each, edm in properties.items()), Name=name
    )
    return element


def _property(name: str, edm: str, nullable: bool) -> etree._Element:
    element: etree._Element = _e.Property(Name=name, Type=edm, Nullable=str(nullable).lower())
    return element


def _function(name: str) -> etree._Element:
    element: etree._Element = _e.Function(
        _parameter("area", "Edm.Geography"),
        _e.ReturnType(Type="Edm.Boolean", Nullable="false"),
        Name=name,
    )
    return element


def _parameter(name: str, edm: str) -> etree._Element:
    element: etree._Element = _e.Parameter(Name=name, Type=edm, Nullable="false")
    return element
