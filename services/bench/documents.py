"""XML and JSON beside each other: as lists of places with their texts."""

import json
import math
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lxml import etree

from refsys.services.bench.rules import Json, Tolerance, Xml, tolerance_of

_NAMESPACE, _NUMBER = re.compile(r"\{[^}]*\}"), re.compile(r"\[\d+\]")
SHOWN_CHARACTERS = 80

Places = dict[str, str]


class UnreadableError(ValueError):
    """A document can't be read; says why."""


def compare(rule: Xml | Json, made: Path, reference: Path) -> list[str]:
    """Return what differs, in words.

    Raises:
        UnreadableError: one of them is no such document.
    """
    read = _of_xml if isinstance(rule, Xml) else _of_json
    found, wanted = read(rule, made, "it"), read(rule, reference, "the reference")
    differences = []
    for place, text in wanted.items():
        if place not in found:
            differences.append(f"{_short(place)} is missing")
        elif found[place] != text and not _near(found[place], text, tolerance_of(rule.tolerances, _plain(place))):
            differences.append(f"{_short(place)} is {_cut(found[place])}, in the reference {_cut(text)}")
    differences += [f"{_short(place)} is not in the reference" for place in found if place not in wanted]
    if isinstance(rule, Xml) and not differences and [*found] != [*wanted]:
        place = next(mine for mine, theirs in zip(found, wanted, strict=True) if mine != theirs)
        differences.append(f"{_short(place)} is at another place among its neighbours")
    return differences


def _of_xml(rule: Any, file: Path, who: str) -> Places:
    # What a processor wrote is read as something that a stranger left: no entities, nothing of the network.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.parse(str(file), parser).getroot()
    except (etree.XMLSyntaxError, OSError) as error:
        raise UnreadableError(f"{who} is no XML: {error}") from None
    for path in rule.ignore:
        try:
            selected = root.xpath(path, namespaces=rule.namespaces or None)
        except etree.XPathEvalError as error:
            raise UnreadableError(f"ignore {path!r} can't be used: {error}") from None
        for each in selected if isinstance(selected, list) else ():
            if not _remove(each):
                raise UnreadableError(f"ignore {path!r} leaves nothing of {who}")
    return dict(_places(root))


def _remove(selected: Any) -> bool:
    """Take an element, an attribute or a text out; False for the root."""
    if not etree.iselement(selected):
        parent = getattr(selected, "getparent", lambda: None)()
        if parent is not None and selected.is_attribute:
            parent.attrib.pop(selected.attrname, None)
        elif parent is not None and selected.is_text:
            parent.text = None
        elif parent is not None:
            parent.tail = None
        return True
    parent = selected.getparent()
    if parent is None:
        return False
    parent.remove(selected)
    return True


def _places(root: Any) -> Iterator[tuple[str, str]]:
    waiting = [(root, f"/{root.tag}")]
    while waiting:
        element, path = waiting.pop()
        yield path, (element.text or "").strip()
        for name in sorted(element.attrib):
            yield f"{path}/@{name}", element.attrib[name]
        counts: dict[str, int] = {}
        children = []
        for child in element:
            if not isinstance(child.tag, str):
                continue  # an entity that stays as it is
            counts[child.tag] = counts.get(child.tag, 0) + 1
            children.append((child, f"{path}/{child.tag}[{counts[child.tag]}]"))
            if tail := (child.tail or "").strip():
                yield f"{children[-1][1]}/following-text()", tail
        waiting += reversed(children)


def _of_json(rule: Any, file: Path, who: str) -> Places:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableError(f"{who} is no JSON: {error}") from None
    found: Places = {}
    waiting = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if any(fnmatchcase(_plain(path), pattern) for pattern in rule.ignore):
            continue
        if isinstance(value, dict):
            found[f"{path}/"] = "an object"
            waiting += [(f"{path}/{name}", each) for name, each in value.items()]
        elif isinstance(value, list):
            found[f"{path}[]"] = f"a list of {len(value)}"
            waiting += [(f"{path}/[{number}]", each) for number, each in enumerate(value)]
        else:
            found[path] = json.dumps(value)
    return found


def _plain(place: str) -> str:
    """A place without namespaces and numbers, as rules name it."""
    return _NUMBER.sub("", _NAMESPACE.sub("", place))


def _near(made: str, reference: str, tolerance: Tolerance) -> bool:
    if not tolerance.absolute and not tolerance.relative:
        return False
    try:
        one, other = float(made), float(reference)
    except ValueError:
        return False
    if not (math.isfinite(one) and math.isfinite(other)):
        return False
    return abs(one - other) <= tolerance.absolute + tolerance.relative * abs(other)


def _short(place: str) -> str:
    return _NAMESPACE.sub("", place)


def _cut(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")
