"""The wire form of property values."""

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from refsys.infra.plugins.common.paths import format_path, parse_path
from refsys.infra.plugins.common.values import (
    UNKNOWN,
    decode,
    encode,
    has_unknown,
    secret_texts,
    secrets_of_outputs,
    value_at,
    without_nulls,
)

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
NOT_KNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def struct(value: dict[str, object]) -> Struct:
    result = Struct()
    result.update(value)
    return result


def test_secrets_and_unknowns_go_there_and_back() -> None:
    wire = {
        "plain": {"number": 3, "ratio": 0.5, "flag": True, "nothing": None, "list": [1, "a"]},
        "password": {SIGNATURE: SECRET, "value": {"a": "hidden"}},
        "items": [{"value": {SIGNATURE: SECRET, "value": "deep"}}],
        "later": NOT_KNOWN,
    }
    decoded = decode(struct(wire))
    assert decoded.value["password"] == {"a": "hidden"}
    assert decoded.value["later"] is UNKNOWN
    assert isinstance(decoded.value["plain"]["number"], int)
    assert decoded.secrets == {("password",), ("items", 0, "value")}
    assert secret_texts(decoded) == {"hidden", "deep"}
    assert has_unknown(decoded.value)
    assert MessageToDict(encode(decoded.value, decoded.secrets)) == MessageToDict(struct(wire))


def test_output_values_are_read() -> None:
    wire = {
        "known": {SIGNATURE: OUTPUT, "value": "a", "secret": True},
        "unknown": {SIGNATURE: OUTPUT, "dependencies": ["urn"]},
    }
    decoded = decode(struct(wire))
    assert decoded.value == {"known": "a", "unknown": UNKNOWN}
    assert decoded.secrets == {("known",)}


def test_secret_in_a_list_makes_the_whole_list_secret_in_outputs() -> None:
    path = ("spec", "containers", 1, "env", 0, "value")
    assert secrets_of_outputs([path, ("data", "a")]) == {("spec", "containers"), ("data", "a")}


def test_nulls_are_dropped_from_mappings_only() -> None:
    assert without_nulls({"a": None, "b": [None, {"c": None}]}) == {"b": [None, {}]}


def test_value_at_a_path() -> None:
    assert value_at({"a": [{"b": 1}]}, ("a", 0, "b")) == 1
    assert value_at({"a": [{"b": 1}]}, ("a", 3, "b")) is None


def test_paths_are_written_and_read() -> None:
    path = ("metadata", "annotations", 'example.org/"x"', 2)
    assert format_path(path) == 'metadata.annotations["example.org/\\"x\\""][2]'
    assert parse_path(format_path(path)) == path
    assert parse_path("spec.containers[*].image") == ("spec", "containers", "*", "image")
