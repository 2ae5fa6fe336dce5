"""Earth Explorer headers (PE-TN-ESA-GS-0001), in a file of their own (HDR) or before the data (EOF, XML)."""

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.xml import UnreadableError, elements, moment, text
from refsys.services.common.names import ProductName


def read(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """The fixed header tells all."""
    header = next(elements(root, "Fixed_Header"), None)
    if header is None:
        raise UnreadableError("Earth Explorer header has no Fixed_Header")
    file_name = text(header, "File_Name")
    if file_name and not name.name.startswith(file_name.partition(".")[0]):
        raise UnreadableError(f"header belongs to another file: File_Name {file_name[:120]!r}")
    set_value = draft.attributes.set
    set_value("productType", text(header, "File_Type"))
    set_value("productClass", text(header, "File_Class"))
    set_value("processingCenter", text(header, "System"))
    set_value("processorName", text(header, "Creator"))
    set_value("processorVersion", text(header, "Creator_Version"))
    set_value("processingDate", moment(text(header, "Creation_Date"), "Creation_Date"))
    draft.period(header, "Validity_Start", "Validity_Stop")
