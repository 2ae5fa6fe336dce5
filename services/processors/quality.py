"""Quality control of products (OQC): is a product in the form that its name promises, and are its files what it says.

`python -m refsys.services.processors.quality PRODUCT …` writes the problems of each as JSON; the exit code is 0 if
there are none. Execution asks it for outputs that are marked for it, processors may ask it for their own.
"""

import argparse
import hashlib
import json
import sys
from datetime import timedelta
from pathlib import Path, PurePosixPath

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.metadata import read_metadata
from refsys.services.catalogue.xml import UnreadableError, child, elements, read_document
from refsys.services.common.digests import ALGORITHMS, standard_name
from refsys.services.common.names import InvalidNameError, ProductName, parse_name
from refsys.services.processors.errors import GOOD, WRONG_PRODUCT

MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
_SLACK = timedelta(seconds=1)  # names have whole seconds
_READ_BYTES = 4 * 2**20
_LARGEST_XML = 8 * 2**20  # that is read as a whole; larger ones are only parsed


def check(product: Path, *, content: bool = True) -> list[str]:
    """The problems of a product's folder; without `content`, checksums aren't computed."""
    problems: list[str] = []
    name: ProductName | None = None
    try:
        name = parse_name(product.name)
    except InvalidNameError as error:
        problems.append(str(error))
    if not product.is_dir():
        return [*problems, "it is no folder"]
    paths = {path.relative_to(product).as_posix(): path for path in sorted(product.rglob("*")) if not path.is_dir()}
    problems += [
        f"{each} is no ordinary file" for each, path in paths.items() if path.is_symlink() or not path.is_file()
    ]
    problems += [problem for each, path in paths.items() if (problem := _malformed(each, path))]
    named = [each for each in MANIFESTS if each in paths]
    if not named:
        return [*problems, f"it has no manifest ({' or '.join(MANIFESTS)})"]
    try:
        with paths[named[0]].open("rb") as file:
            root = read_document(file)
    except UnreadableError as error:
        return [*problems, f"{named[0]}: {error}"]
    problems += _files(root, named[0], paths, content=content)
    if name is not None:
        problems += _times(name, root)
    return problems


def _malformed(name: str, path: Path) -> str | None:
    """What is wrong with the XML of a file, if it is one."""
    if path.suffix not in (".xml", ".safe") or not path.is_file():
        return None
    try:
        if path.stat().st_size <= _LARGEST_XML:
            with path.open("rb") as file:
                read_document(file)
        else:
            for _, element in etree.iterparse(path, resolve_entities=False, no_network=True):
                element.clear()
    except (UnreadableError, etree.XMLSyntaxError) as error:
        return f"{name}: {error}"
    return None


def _files(root: etree._Element, manifest: str, paths: dict[str, Path], *, content: bool) -> list[str]:
    """Compare the manifest's files with those that are there."""
    problems, listed = [], set()
    for entry in elements(root, "dataObject"):
        stream = child(entry, "byteStream")
        location, checksum = child(stream, "fileLocation"), child(stream, "checksum")
        href = (location.get("href") or "") if location is not None else ""
        path = str(PurePosixPath(href))
        if stream is None or not href or path.startswith(("/", "..")):
            problems.append(f"{manifest}: object {entry.get('ID')} has no place within the product")
            continue
        listed.add(path)
        if path not in paths:
            problems.append(f"{path} is missing")
            continue
        size = paths[path].stat().st_size
        if stream.get("size") != str(size):
            problems.append(f"{path} has {size} octets, {stream.get('size')} are said")
        elif checksum is None:
            problems.append(f"{path} has no checksum")
        elif content:
            problems += _checksum(path, paths[path], checksum)
    problems += [f"{path} is not in {manifest}" for path in paths if path not in listed and path != manifest]
    return problems


def _checksum(name: str, path: Path, checksum: etree._Element) -> list[str]:
    written = checksum.get("checksumName") or ""
    algorithm = standard_name(written)
    if algorithm is None:
        return [f"{name}: checksum of an unknown kind {written[:40]!r}"]
    value = hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            value.update(chunk)
    said = (checksum.text or "").strip().lower()
    return [] if value.hexdigest() == said else [f"{name} has {algorithm} {value.hexdigest()}, {said[:128]} is said"]


def _times(name: ProductName, root: etree._Element) -> list[str]:
    """Compare the times of the manifest with those of the name."""
    try:
        metadata = read_metadata(name, [root], Draft())
    except UnreadableError as error:
        return [str(error)]
    problems = []
    for what, said, found in (("starts", name.start, metadata.start), ("stops", name.stop, metadata.end)):
        if said is not None and abs(found - said) > _SLACK:
            problems.append(f"it {what} at {found.isoformat()}, its name says {said.isoformat()}")
    return problems


def main(arguments: list[str]) -> int:
    """Check products; 0 if all are good."""
    parser = argparse.ArgumentParser(prog="quality", description="Format check of products.")
    parser.add_argument("products", nargs="+", type=Path)
    found = {path.name: check(path) for path in parser.parse_args(arguments).products}
    verdicts = [{"product": name, "good": not problems, "problems": problems} for name, problems in found.items()]
    sys.stdout.write(json.dumps(verdicts, indent=2) + "\n")
    return WRONG_PRODUCT if any(found.values()) else GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
