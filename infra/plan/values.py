"""Values of resources as the engine's events tell them, field by field; secrets never come in the clear."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SECRET = "(secret)"  # noqa: S105 - what is shown in place of one
UNKNOWN = "(known once it is made)"
ABSENT = "(none)"
SHOWN_CHARACTERS = 100

SIGNATURE, IS_SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
"""With which the engine marks a secret in its state and its events."""
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_NAMES = ("name", "key")


@dataclass(frozen=True)
class Field:
    """A field that differs."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """`path: old → new` on one line."""
        return f"{self.path}: {shown(self.old)} → {shown(self.new)}"


def plain(value: Any) -> Any:
    """The value with secrets and what is not known yet as the texts that stand for them."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == IS_SECRET:
            return SECRET
        return {key: plain(part) for key, part in value.items() if key != "__provider"}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return UNKNOWN if value == _UNKNOWN else value


def differences(old: Any, new: Any, path: str = "") -> Iterator[Field]:
    """Every field that differs between two plain values, as deep as it can be told; also within JSON texts."""
    if old == new:
        return
    old, new = _parsed(old, new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*old, *(key for key in new if key not in old)):
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list) and (pairs := _pairs(old, new)):
        for place, before, after in pairs:
            yield from differences(before, after, f"{path}[{place}]")
    else:
        yield Field(path, old, new)


def shown(value: Any) -> str:
    """A value on one line, not too long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def secrets(value: Any, path: str = "") -> Iterator[str]:
    """Where a plain value holds secrets."""
    if value == SECRET:
        yield path
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from secrets(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from secrets(part, f"{path}[{number}]")


def _parsed(old: Any, new: Any) -> tuple[Any, Any]:
    """Both as what their JSON texts say, where both are such."""
    if isinstance(old, str) and isinstance(new, str) and old[:1] == new[:1] and old[:1] in ("{", "["):
        try:
            return json.loads(old), json.loads(new)
        except json.JSONDecodeError:
            pass
    return old, new


def _pairs(old: list[Any], new: list[Any]) -> list[tuple[Any, Any, Any]]:
    """Items that belong together, with their place: by name where they have one, else by number."""
    for name in _NAMES:
        if all(isinstance(item, dict) and isinstance(item.get(name), str) for item in (*old, *new)):
            before, after = ({item[name]: item for item in items} for items in (old, new))
            if len(before) == len(old) and len(after) == len(new):
                names = dict.fromkeys((*before, *after))
                return [(each, before.get(each, ABSENT), after.get(each, ABSENT)) for each in names]
    if len(old) == len(new):
        return [(number, *pair) for number, pair in enumerate(zip(old, new, strict=True))]
    return []
