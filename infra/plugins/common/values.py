"""Pulumi property values as plain Python data, and back.

The wire form is a protobuf `Struct`; secrets and unknowns are marked in it by fixed signatures
(pulumi `sdk/proto`, "Pulumi property values"). Here a value is plain data in which `UNKNOWN` stands for what is not
known yet, and the paths of secrets are kept beside it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value

Path = tuple[str | int, ...]
"""Where a value lies: keys of mappings and indices of lists, from the root."""

Properties = dict[str, Any]


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        """Show as a word in messages."""
        return "unknown"

    def __deepcopy__(self, _memo: object) -> "Unknown":
        """Stay the one and only."""
        return self


UNKNOWN: Final = Unknown()
"""A value that only the update will tell."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 the protocol's mark, not a secret
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


@dataclass(frozen=True)
class Decoded:
    """Plain data and the paths in it that are secret."""

    value: Properties
    secrets: frozenset[Path]


def decode(struct: Struct) -> Decoded:
    """Read the wire form."""
    secrets: set[Path] = set()
    value = {key: _decode(item, (key,), secrets) for key, item in struct.fields.items()}
    return Decoded(value, frozenset(secrets))


def encode(value: Properties, secrets: Iterable[Path] = ()) -> Struct:
    """Write the wire form; what lies at a path of `secrets` is marked secret."""
    marked = frozenset(secrets)
    return Struct(fields={key: _encode(item, (key,), marked) for key, item in value.items()})


def without_nulls(value: Any) -> Any:
    """Drop mapping entries whose value is null: in Kubernetes they mean "not set"."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Tell whether any part of the value is unknown."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def secret_texts(decoded: Decoded) -> frozenset[str]:
    """Collect the strings under secret paths, to keep them out of messages."""
    found: set[str] = set()
    for path in decoded.secrets:
        found.update(_texts(value_at(decoded.value, path)))
    return frozenset(found)


def value_at(value: Any, path: Path) -> Any:
    """Return what lies at the path, `None` where nothing does."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def secrets_of_outputs(secrets: Iterable[Path]) -> frozenset[Path]:
    """Turn the secret paths of inputs into those of outputs.

    The server may reorder lists or add to them, so a secret in a list makes the whole list secret.
    """
    result: set[Path] = set()
    for path in secrets:
        cut = next((number for number, step in enumerate(path) if isinstance(step, int)), len(path))
        result.add(path[:cut])
    return frozenset(result)


def _decode(item: Value, path: Path, secrets: set[Path]) -> Any:
    match item.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if item.string_value in _UNKNOWNS else item.string_value
        case "number_value":
            number = item.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return item.bool_value
        case "list_value":
            return [_decode(part, (*path, at), secrets) for at, part in enumerate(item.list_value.values)]
        case "struct_value":
            return _decode_struct(item.struct_value, path, secrets)
        case _:
            return None


def _decode_struct(struct: Struct, path: Path, secrets: set[Path]) -> Any:
    fields = struct.fields
    mark = fields[_SIGNATURE].string_value if _SIGNATURE in fields else ""
    if mark == _SECRET:
        secrets.add(path)
        return _decode(fields["value"], path, secrets)
    if mark == _OUTPUT:
        if "secret" in fields and fields["secret"].bool_value:
            secrets.add(path)
        return _decode(fields["value"], path, secrets) if "value" in fields else UNKNOWN
    return {key: _decode(part, (*path, key), secrets) for key, part in fields.items()}


def _encode(item: Any, path: Path, secrets: frozenset[Path]) -> Value:
    if path in secrets and item is not None:
        mark = {_SIGNATURE: Value(string_value=_SECRET), "value": _plain(item, path, frozenset())}
        return Value(struct_value=Struct(fields=mark))
    return _plain(item, path, secrets)


def _plain(item: Any, path: Path, secrets: frozenset[Path]) -> Value:  # noqa: PLR0911 one case a line
    if item is None:
        return Value(null_value=NullValue.NULL_VALUE)
    if item is UNKNOWN:
        return Value(string_value=_UNKNOWN_STRING)
    if isinstance(item, bool):
        return Value(bool_value=item)
    if isinstance(item, int | float):
        return Value(number_value=item)
    if isinstance(item, str):
        return Value(string_value=item)
    if isinstance(item, dict):
        parts = {str(key): _encode(part, (*path, str(key)), secrets) for key, part in item.items()}
        return Value(struct_value=Struct(fields=parts))
    if isinstance(item, list):
        return Value(
            list_value=ListValue(values=[_encode(part, (*path, number), secrets) for number, part in enumerate(item)])
        )
    raise TypeError(f"a value of type {type(item).__name__} cannot be a Pulumi property")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and value:
        yield value
