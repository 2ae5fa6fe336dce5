"""Drift: which fields of the inputs have another value in the cluster.

The server rewrites what it is given (defaults, `1000m` to `1`), so inputs are not compared with the live object:
a field has drifted where the live object differs from what the server answered to the last update.
"""

import base64
import binascii
from typing import Any

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.objects import manifest_of

_ABSENT = object()
_LIST_KEYS = (
    "name",
    "key",
    "mountPath",
    "devicePath",
    "containerPort",
    "port",
    "ip",
    "uid",
    "type",
    "topologyKey",
)


def live_inputs(inputs: Properties, last: Properties, live: Properties) -> Properties:
    """Return the inputs as they are in the cluster now.

    `last` is the object after the last update. Without inputs (an import), the live object's own manifest is returned.
    """
    if not inputs:
        return manifest_of(live)
    result: Properties = _now(inputs, last, live)
    if isinstance(inputs.get("stringData"), dict):
        result["stringData"] = _string_data(inputs["stringData"], live.get("data") or {})
    return {**result, **{key: inputs[key] for key in ("apiVersion", "kind") if key in inputs}}


def _now(wanted: Any, last: Any, live: Any) -> Any:
    """Return the wanted value where nothing changed, else the live one, in the fields that are wanted."""
    if live == last:
        return wanted
    if isinstance(wanted, dict) and isinstance(live, dict):
        before = last if isinstance(last, dict) else {}
        fields = {key: _now(value, before.get(key, _ABSENT), live.get(key, _ABSENT)) for key, value in wanted.items()}
        return {key: value for key, value in fields.items() if value is not _ABSENT}
    if isinstance(wanted, list) and isinstance(live, list):
        return _now_list(wanted, last if isinstance(last, list) else [], live)
    return live


def _now_list(wanted: list[Any], last: list[Any], live: list[Any]) -> list[Any]:
    key = _list_key(wanted, last, live)
    if key is None:
        if len(wanted) == len(last) == len(live):
            return [_now(*items) for items in zip(wanted, last, live, strict=True)]
        return live
    before = {item[key]: item for item in last}
    after = {item[key]: item for item in live}
    items = [_now(item, before.get(item[key], _ABSENT), after.get(item[key], _ABSENT)) for item in wanted]
    known = {item[key] for item in wanted} | set(before)
    added = [item for item in live if item[key] not in known]
    return [item for item in items if item is not _ABSENT] + added


def _list_key(*lists: list[Any]) -> str | None:
    """Return the field that tells the items of an associative list apart, `None` for a plain list."""
    items = [item for part in lists for item in part]
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    for key in _LIST_KEYS:
        if all(isinstance(item.get(key), str | int) for item in items) and all(
            len({item[key] for item in part}) == len(part) for part in lists
        ):
            return key
    return None


def _string_data(wanted: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    result = {}
    for key in wanted:
        if key in data:
            try:
                result[key] = base64.b64decode(data[key], validate=True).decode()
            except (binascii.Error, UnicodeDecodeError, TypeError):
                result[key] = ""
    return result
