"""Preview images that products bring along: taken out of archive or folder, for the PRIP's Quicklooks.

Nothing decodes an image here. Images are bounded in size and number, and taken only if their first bytes are those of
their kind.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lxml import etree

from refsys.services.catalogue.archive import explained
from refsys.services.catalogue.files import File, ProductFiles
from refsys.services.catalogue.xml import UnreadableError, elements, read_document
from refsys.services.common import logs
from refsys.services.common.families import QUICKLOOKS, storage_path_in
from refsys.services.common.names import shown
from refsys.services.common.store import ObjectStore
from refsys.services.compression.rules import S1_PRODUCTS, S2_PRODUCTS, S3_PRODUCTS

IMAGES_LIMIT = 8  # of a product
LIMIT_BYTES = 8 * 2**20  # of an image
CHUNK_BYTES = 2**16
# By the path within the product's own folder.
_PATTERNS = (
    (S1_PRODUCTS, r"preview/quick-look\.png"),
    (S2_PRODUCTS, r"(?:GRANULE/[^/]+/)?(?:QI_DATA/)?[^/]*_PVI(?:_[^/]*)?\.jp2|[^/]*-ql\.jpg|[^/]*_BWI_[^/]*\.png"),
    (S3_PRODUCTS, r"(?:quicklook|browse)[^/]*\.(?:jpg|jpeg|png)"),
)
_IN_FOLDER = r"(?:[^/]+/)?"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
# Content type by extension, with what such a file begins with.
_KINDS = {
    ".png": ("image/png", b"\x89PNG\r\n\x1a\n"),
    ".jpg": ("image/jpeg", b"\xff\xd8\xff"),
    ".jpeg": ("image/jpeg", b"\xff\xd8\xff"),
    ".jp2": ("image/jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
}

log = logs.get_logger()


def has_quicklooks(family: str) -> bool:
    """Whether products of a family may have images: not auxiliary data, not sessions."""
    return any(family in families for families, _ in _PATTERNS)


def store_quicklooks(store: ObjectStore, name: str, family: str, files: ProductFiles) -> list[Mapping[str, Any]]:
    """Store the images of a product; return them as `additionalFields.quicklooks` of its events has them.

    A product whose images can't be read has none. The same product again stores the same.
    """
    found: dict[str, Mapping[str, Any]] = {}
    try:
        with explained():
            pattern = _pattern(family, files)
            for file in files.wanted(lambda path: 0 if pattern.fullmatch(path) else None):
                image = PurePosixPath(file.path).name
                if len(found) == IMAGES_LIMIT:
                    log.warning("product has more images than are shown", product=shown(name), limit=IMAGES_LIMIT)
                    break
                content = None if image in found else _content(name, file)
                if content is None:
                    continue
                key = f"{name}/{image}"
                store.put(QUICKLOOKS, key, [content], len(content))
                found[image] = {
                    "image": image,
                    "contentType": _KINDS[PurePosixPath(image).suffix][0],
                    "size": len(content),
                    "storagePath": storage_path_in(QUICKLOOKS, key),
                }
    except UnreadableError as error:
        log.warning("images of a product can't be read", product=shown(name), reason=str(error))
    return list(found.values())


def _content(name: str, file: File) -> bytes | None:
    """The bytes of an image; None for one that is not taken."""
    image = PurePosixPath(file.path).name
    reason = ""
    content = b""
    if not _NAME.fullmatch(image):
        reason = "its name has characters that are not taken"
    elif file.size is not None and file.size > LIMIT_BYTES:
        reason = f"it has over {LIMIT_BYTES} bytes"
    else:
        parts = bytearray()
        while len(parts) <= LIMIT_BYTES and (data := file.source.read(CHUNK_BYTES)):
            parts += data
        content = bytes(parts)
        if len(content) > LIMIT_BYTES:
            reason = f"it has over {LIMIT_BYTES} bytes"
        elif not content.startswith(_KINDS[PurePosixPath(image).suffix][1]):
            reason = "its content is not what its name says"
    if reason:
        log.warning("image left out", product=shown(name), image=shown(image), reason=reason)
        return None
    return content


def _pattern(family: str, files: ProductFiles) -> re.Pattern[str]:
    """What paths images have; those of Sentinel-3 may be named by the product's EOPMetadata."""
    pattern = next(pattern for families, pattern in _PATTERNS if family in families)
    if family in S3_PRODUCTS:
        described = re.compile(_IN_FOLDER + r"EOPMetadata\.xml", re.ASCII)
        for file in files.wanted(lambda path: 0 if described.fullmatch(path) else None):
            named = [re.escape(name) for name in _browse_images(read_document(file.source))]
            return re.compile(f"{_IN_FOLDER}(?:{'|'.join([pattern, *named])})", re.ASCII)
    return re.compile(f"{_IN_FOLDER}(?:{pattern})", re.ASCII)


def _browse_images(root: etree._Element) -> Sequence[str]:
    """The file names of the browse images (`eop:browse`, OGC 10-157r4) that are of a kind shown here."""
    names: list[str] = []
    for kind in ("browse", "BrowseInformation"):
        for browse in elements(root, kind):
            for named in browse.iterfind(".//{*}fileName"):
                texts = [named.text, *(value for each in named.iter() for value in each.attrib.values())]
                names += [PurePosixPath(str(text).strip()).name for text in texts if text]
    return [name for name in dict.fromkeys(names) if PurePosixPath(name).suffix in _KINDS][:IMAGES_LIMIT]
