"""Finding the metadata documents among the files of a product; no more than `xml.LIMIT_BYTES` of each are held."""

from lxml import etree

from refsys.services.catalogue.archive import explained
from refsys.services.catalogue.files import ProductFiles
from refsys.services.catalogue.xml import Readable, UnreadableError, local, read_document

# In the order of preference, by the end of a file's path.
DOCUMENTS = (
    "Inventory_Metadata.xml",
    "MTD_MSIL1C.xml",
    "MTD_MSIL2A.xml",
    "manifest.safe",
    "xfdumanifest.xml",
    ".HDR",
    "_iif.xml",
    ".EOF",
    ".xml",
)
BY_NAME = DOCUMENTS[:7]  # metadata wherever they lie; other XML only at the top
DECISIVE = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml", "xfdumanifest.xml", ".HDR")  # beside these there is nothing better
DEPTH_LIMIT = 3  # `X.SAFE/manifest.safe` is at 2
DOCUMENTS_LIMIT = 8


def metadata_documents(files: ProductFiles) -> list[etree._Element]:
    """The metadata documents of a product, best first; raises `UnreadableError` if there is none or it is broken.

    Read until there is all that is needed; one that only adds to others may be unreadable.
    """
    ranked: list[tuple[int, etree._Element]] = []
    problem: UnreadableError | None = None
    with explained():
        for file in files.wanted(_rank):
            document = _document(file.source)
            if isinstance(document, UnreadableError):
                problem = document
                if file.rank < len(DOCUMENTS) - 1:
                    raise problem
                continue
            ranked.append((file.rank, document))
            if DOCUMENTS[file.rank] in DECISIVE or len(ranked) >= DOCUMENTS_LIMIT:
                break
            kinds = {local(root) for _, root in ranked}
            if "Inventory_Metadata" in kinds and any(kind.startswith("Level-") for kind in kinds):
                break
    if not ranked:
        raise problem or UnreadableError(
            f"product has no metadata in it (no metadata document: {', '.join(DOCUMENTS)})"
        )
    return [root for _, root in sorted(ranked, key=lambda each: each[0])]


def _document(source: Readable) -> etree._Element | UnreadableError:
    try:
        return read_document(source)
    except UnreadableError as error:
        return error


def _rank(path: str) -> int | None:
    lower = path.lower()
    rank = next((rank for rank, end in enumerate(DOCUMENTS) if lower.endswith(end.lower())), None)
    if rank is not None and path.count("/") >= (DEPTH_LIMIT - 1 if DOCUMENTS[rank] not in BY_NAME else DEPTH_LIMIT):
        return None
    return rank
