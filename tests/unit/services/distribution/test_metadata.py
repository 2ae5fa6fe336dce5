"""`$metadata` after the rules of OData CSDL 4.0 that can be told from the document alone."""

import re

from lxml import etree

from refsys.services.distribution.odata.metadata import metadata_document
from refsys.services.distribution.odata.query import EXPANDABLE, SELECTABLE

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
EDMX = "{http://docs.oasis-open.org/odata/ns/edmx}"
PRIMITIVES = {"String", "Guid", "Int32", "Int64", "Double", "Boolean", "DateTimeOffset", "Geography"}
# CSDL 4.0, section 5: what a schema may hold; sections 6 to 13: what its children may.
CHILDREN = {
    "Schema": {"EntityType", "ComplexType", "EnumType", "Action", "Function", "EntityContainer"},
    "EntityType": {"Key", "Property", "NavigationProperty"},
    "ComplexType": {"Property"},
    "EnumType": {"Member"},
    "Action": {"Parameter", "ReturnType"},
    "Function": {"Parameter", "ReturnType"},
    "EntityContainer": {"EntitySet"},
    "Key": {"PropertyRef"},
}


def schema() -> etree._Element:
    found = etree.fromstring(metadata_document()).find(f"{EDMX}DataServices/{EDM}Schema")
    assert found is not None
    return found


SCHEMA = schema()


def entity(name: str) -> etree._Element:
    found = [each for each in SCHEMA.iter(f"{EDM}EntityType") if each.get("Name") == name]
    assert len(found) == 1
    return found[0]


def names(element: etree._Element, kind: str) -> list[str]:
    return [each.get("Name", "") for each in element.findall(f"{EDM}{kind}")]


def test_document() -> None:
    root = etree.fromstring(metadata_document())
    assert (root.tag, root.get("Version")) == (f"{EDMX}Edmx", "4.0")
    assert SCHEMA.get("Namespace") == "OData.CSC"


def test_elements_are_where_they_may_be() -> None:
    for element in SCHEMA.iter():
        kind = etree.QName(element).localname
        assert {etree.QName(child).localname for child in element} <= CHILDREN.get(kind, set()), kind


def test_names_are_identifiers_and_unique() -> None:
    for parent in SCHEMA.iter():
        given = [child.get("Name") for child in parent if child.get("Name")]
        assert len(given) == len(set(given))
        assert all(re.fullmatch(r"[A-Za-z_]\w{0,127}", name or "") for name in given)


def test_every_type_is_declared() -> None:
    declared = {
        f"OData.CSC.{name}" for kind in ("EntityType", "ComplexType", "EnumType") for name in names(SCHEMA, kind)
    }
    declared |= {f"Edm.{name}" for name in PRIMITIVES}
    for element in SCHEMA.iter():
        for attribute in ("Type", "BaseType", "EntityType"):
            if used := element.get(attribute):
                assert re.sub(r"^Collection\((.*)\)$", r"\1", used) in declared, used


def test_keys_are_properties_that_are_never_null() -> None:
    for each in SCHEMA.iter(f"{EDM}EntityType"):
        for reference in each.iter(f"{EDM}PropertyRef"):
            (key,) = (p for p in each.iter(f"{EDM}Property") if p.get("Name") == reference.get("Name"))
            assert key.get("Nullable") == "false"
        assert each.get("BaseType") or each.find(f"{EDM}Key") is not None


def test_the_product_is_what_is_served() -> None:
    product = entity("Product")
    assert product.get("HasStream") == "true"
    assert set(names(product, "Property")) == set(SELECTABLE)
    assert set(names(product, "NavigationProperty")) == set(EXPANDABLE)
    assert names(SCHEMA, "EntityContainer") == ["PRIPData"]


def test_the_action_is_bound_to_the_products() -> None:
    action = SCHEMA.find(f"{EDM}Action")
    assert action is not None
    assert (action.get("Name"), action.get("IsBound")) == ("FilterList", "true")
    first = action.find(f"{EDM}Parameter")
    assert first is not None
    assert (first.get("Type"), action.get("EntitySetPath")) == ("Collection(OData.CSC.Product)", first.get("Name"))
