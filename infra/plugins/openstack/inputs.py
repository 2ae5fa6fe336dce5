"""Inputs of resources: checked, named, compared, and read back from the cloud."""

from collections.abc import Iterator
from typing import Any

from refsys.infra.plugins.common.differences import Change, Difference, FieldChange, field_changes
from refsys.infra.plugins.common.values import UNKNOWN, Path, Properties
from refsys.infra.plugins.openstack.kinds.base import Field, Kind
from refsys.infra.plugins.openstack.marks import ATTEMPT

DEFAULTS = "__defaults"
"""Names of the inputs that were filled in here, as the vendor's plugin notes them."""
FAILED = "__failed"
"""The output that says that an object is beyond use: the next update makes it anew."""
_INTERNAL = (DEFAULTS, ATTEMPT, FAILED)
_NAME_LENGTH = 255


def failures(kind: Kind, inputs: Properties) -> Iterator[tuple[str, str]]:
    """What is wrong with inputs: pairs of property and reason."""
    for key, value in inputs.items():
        if key not in kind.fields and key not in _INTERNAL and value not in (None, "", [], {}, False):
            yield key, f"{key} of {kind.urn_type} is not served by this plugin; leave it out"
    for key, field in kind.fields.items():
        if field.required and inputs.get(key) in (None, ""):
            yield key, f"{kind.urn_type} needs {key}"
    yield from kind.refused(inputs)


def prepared(kind: Kind, inputs: Properties, old: Properties, name: str, seed: bytes) -> Properties:
    """Inputs with a name and an attempt; those of an object that is there keep theirs."""
    result = {key: value for key, value in inputs.items() if value is not None and key not in _INTERNAL}
    random = seed.hex() or "0" * 16
    if "name" in kind.fields and "name" not in result:
        kept = old.get("name") if "name" in (old.get(DEFAULTS) or []) else None
        result["name"] = kept or f"{name[: _NAME_LENGTH - 8]}-{random[:7]}"
        result[DEFAULTS] = ["name"]
    result[ATTEMPT] = old.get(ATTEMPT) or random[-8:]
    return result


def compare(kind: Kind, old: Properties, new: Properties, state: Properties) -> Difference:
    """Compare the inputs in the state with the program's; `state` are the outputs."""
    changes = list(_changes(kind, old, new, state))
    if state.get(FAILED):
        changes.append(FieldChange(("status",), Change.UPDATE, replaces=True))
    named = "name" in new and "name" not in (new.get(DEFAULTS) or []) and old.get("name") == new["name"]
    replaces = any(change.replaces for change in changes)
    return Difference(tuple(changes), delete_first=replaces and named)


def _changes(kind: Kind, old: Properties, new: Properties, state: Properties) -> Iterator[FieldChange]:
    for key, field in kind.fields.items():
        was, now = old.get(key, field.default), new.get(key, field.default)
        if now is None and (field.computed or was in (None, "", [], {})):
            continue
        if was is None and (now in ("", [], {}) or (field.computed and same(field, now, state.get(key)))):
            continue
        if now is not UNKNOWN and same(field, was, now):
            continue
        for path, change in _paths(key, was, now):
            yield FieldChange(path, change, field.replaces)


def _paths(key: str, was: Any, now: Any) -> Iterator[tuple[Path, Change]]:
    if was is None:
        yield (key,), Change.ADD
    elif now is None:
        yield (key,), Change.DELETE
    else:
        yield from field_changes(was, now, (key,))


def same(field: Field, one: Any, other: Any) -> bool:
    """Whether two values of an input mean the same."""
    if field.unordered and isinstance(one, list) and isinstance(other, list):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return type(one) is type(other) and bool(one == other)


def live_inputs(kind: Kind, inputs: Properties, told: Properties, outputs: Properties) -> Properties:
    """The inputs that would make the object as it is now: what fits stays as it was written."""
    if not inputs:
        return _imported(kind, {**outputs, **told})
    result = dict(inputs)
    for key, field in kind.fields.items():
        if key not in told:
            continue
        if key not in inputs:
            alien = not field.computed and not field.partial and told[key] not in (None, "", [], {}, False)
            if alien and told[key] != field.default:
                result[key] = told[key]
        elif not fits(field, inputs[key], told[key]):
            result[key] = told[key]
        elif field.partial:
            result[key] = _part(inputs[key], told[key])
    return {key: value for key, value in result.items() if value is not None}


def fits(field: Field, given: Any, live: Any) -> bool:
    """Whether what the cloud tells is what was given; it may tell more of each item, or of all where that is fine."""
    if live is None:
        return given in ("", [], {}, False)
    if field.partial:
        return bool(_part(given, live) == given)
    if isinstance(given, list) and isinstance(live, list):
        if field.unordered and not any(isinstance(item, dict) for item in given):
            return same(field, given, live)
        return len(given) == len(live) and all(any(_item(one, other) for other in live) for one in given)
    return bool(given == live)


def _item(given: Any, live: Any) -> bool:
    if isinstance(given, dict) and isinstance(live, dict):
        return all(live.get(key) == value for key, value in given.items())
    return bool(given == live)


def _part(given: Any, live: Any) -> Any:
    """What the cloud has of a list or mapping that was given."""
    if isinstance(given, list):
        return [item for item in given if item in live]
    return {key: live[key] for key in given if key in live}


def _imported(kind: Kind, known: Properties) -> Properties:
    return {
        key: known[key]
        for key, field in kind.fields.items()
        if known.get(key) not in (None, "", [], {})
        and known[key] != field.default
        and (field.required or key == "name" or not field.computed)
    }
