"""The fields extension: which parts of each item an answer holds (STAC API fields extension 1.0)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ALWAYS = frozenset({"type", "stac_version", "id", "collection"})
DEFAULT = frozenset({"geometry", "bbox", "links", "assets", "properties.datetime"})

Json = dict[str, Any]


@dataclass(frozen=True)
class Fields:
    """Paths to include, with what tells an item from others, and paths to exclude.

    Of two paths the more exact one wins; the same path in both is included.
    """

    include: frozenset[str]
    exclude: frozenset[str]

    @classmethod
    def of(cls, include: Iterable[str], exclude: Iterable[str]) -> "Fields":
        """Return the fields of a request; nothing included means all but the excluded."""
        return cls(frozenset(include), frozenset(exclude))

    def apply(self, item: Json) -> Json:
        """Return the wanted parts of an item."""
        kept = item
        if self.include:
            kept = {}
            for path in ALWAYS | self.include:
                _copy(item, kept, path)
        for path in self.exclude - self.include:
            kept = _without(kept, path)
        for path in self.include:
            if any(path.startswith(f"{wider}.") for wider in self.exclude):
                _copy(item, kept, path)
        return kept


def of_body(given: Mapping[str, Any]) -> Fields:
    """Return the fields of a search's body: all if `include` is left out, the default ones if it is empty."""
    exclude = frozenset(given.get("exclude") or ())
    include = given["include"] or DEFAULT - exclude if "include" in given else ()
    return Fields.of(include, exclude)


def read(names: Iterable[str]) -> Fields | None:
    """Return the fields of `fields=id,-geometry`; None if all are wanted."""
    texts = [name.strip() for name in names if name.strip(" +-")]
    include = [name.lstrip("+") for name in texts if not name.startswith("-")]
    exclude = [name[1:] for name in texts if name.startswith("-")]
    return Fields.of(include, exclude) if texts else None


def _split(path: str) -> tuple[str, str]:
    # Names of properties may hold dots, nothing lies deeper than `assets.product.href`.
    head, _, tail = path.partition(".")
    return head, tail


def _copy(source: Json, target: Json, path: str) -> None:
    if path in source:
        target[path] = source[path]
        return
    head, tail = _split(path)
    if tail and isinstance(source.get(head), dict) and target.get(head) is not source[head]:
        _copy(source[head], target.setdefault(head, {}), tail)


def _without(source: Json, path: str) -> Json:
    if path in source:
        return {name: value for name, value in source.items() if name != path}
    head, tail = _split(path)
    if tail and isinstance(source.get(head), dict):
        return source | {head: _without(source[head], tail)}
    return source
