"""Auxiliary XML without a header, such as the on-board memory configuration (AUX_OBMEMC)."""

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.xml import elements, moment, text
from refsys.services.common.names import ProductName

STORES = "packetStores"


def read(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """Creation, validity, and what the packet stores are for."""
    if created := text(root, "Creation_Time"):
        draft.attributes.set("processingDate", moment(created, "Creation_Time"))
    draft.period(root, "Validity_Start", "Validity_Stop")
    stores = {}
    for association in elements(root, "PacketStoreAssociation"):
        number = (text(association, "PacketStoreId") or "").removeprefix("PS-")
        kind = text(association, "PacketStoreType")
        if number.isdecimal() and len(number) < 4 and kind:
            stores[number] = kind[:40]
    if stores:
        draft.details[STORES] = stores
