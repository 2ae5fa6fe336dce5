"""Metalinks of products (RFC 5854): name, size, checksums and address, for download managers such as aria2."""

from collections.abc import Sequence

from fastapi import Response
from lxml import etree
from lxml.builder import ElementMaker
from sqlalchemy import RowMapping

NAMESPACE = "urn:ietf:params:xml:ns:metalink"
MEDIA_TYPE = "application/metalink4+xml"
# From the PRIP's names to the IANA registry "Hash Function Textual Names", which RFC 5854 refers to.
_HASHES = {"MD5": "md5", "SHA-1": "sha-1", "SHA-256": "sha-256", "SHA-384": "sha-384", "SHA-512": "sha-512"}

_m = ElementMaker(namespace=NAMESPACE, nsmap={None: NAMESPACE})


def metalink(rows: Sequence[RowMapping], products_url: str) -> bytes:
    """Return the metalink of products; offline ones are left out, since their address gives nothing."""
    files = [_file(row, products_url) for row in rows if row["online"]]
    document = _m.metalink(_m.generator("refsys PRIP"), *files)
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def answer(rows: Sequence[RowMapping], products_url: str) -> Response:
    """Return the metalink as a file to download."""
    headers = {"Content-Disposition": 'attachment; filename="products.meta4"'}
    return Response(metalink(rows, products_url), media_type=MEDIA_TYPE, headers=headers)


def _file(row: RowMapping, products_url: str) -> etree._Element:
    hashes = [
        _m.hash(each["value"].lower(), type=_HASHES[each["algorithm"].upper()])
        for each in row["checksums"]
        if each["algorithm"].upper() in _HASHES
    ]
    element: etree._Element = _m.file(
        _m.identity(str(row["id"])),
        _m.size(str(row["content_length"])),
        *hashes,
        _m.url(f"{products_url}({row['id']})/$value"),
        name=row["name"],
    )
    return element
