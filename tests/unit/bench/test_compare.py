"""Outputs beside a reference: bit by bit, as XML and JSON, as numbers within tolerances."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from refsys.services.bench.compare import StrangeError, compare, files_below
from refsys.services.bench.found import Comparison
from refsys.services.bench.rules import Rules

XML = """<p:product xmlns:p="urn:p"><p:made id="1">2024</p:made><p:orbit><p:x>1.00</p:x><p:x>2.00</p:x></p:orbit>
<p:file name="a"/></p:product>"""


def of(made: dict[str, bytes], reference: dict[str, bytes], folder: Path, **rules: Any) -> Comparison:
    for side, files in (("made", made), ("reference", reference)):
        for name, content in files.items():
            path = folder / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / side).mkdir(exist_ok=True)
    return compare(files_below(folder / "made"), files_below(folder / "reference"), Rules.model_validate(rules))


def one(made: bytes, reference: bytes, folder: Path, **rule: Any) -> Comparison:
    return of({"f": made}, {"f": reference}, folder, files=[{"match": "*", "as": "bits", **rule}])


def test_every_octet_counts_where_no_rule_says_otherwise(tmp_path: Path) -> None:
    found = of({"a/x": b"12345", "a/y": b"1"}, {"a/x": b"12945", "a/y": b"1"}, tmp_path)
    assert not found.equal
    assert [(each.name, each.reason) for each in found.different] == [("a/x", "octet 2 is the first that differs")]
    assert found.reason == "1 of 2 files differ, first a/x: octet 2 is the first that differs"
    longer = one(b"123", b"12", tmp_path / "2")
    assert longer.different[0].reason == "octet 2 is the first that differs; it has 3 octets, not 2"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_bits_are_equal_exactly_if_octets_are(
    tmp_path_factory: pytest.TempPathFactory, one_: bytes, other: bytes
) -> None:
    assert one(one_, other, tmp_path_factory.mktemp("bits")).equal == (one_ == other)


def test_what_is_missing_or_extra_is_told(tmp_path: Path) -> None:
    found = of({"a": b"", "new": b""}, {"a": b"", "old": b""}, tmp_path)
    assert (found.equal, found.missing, found.extra) == (False, ["old"], ["new"])
    assert found.reason == "1 missing, 1 extra"


def test_nothing_is_equal_to_an_empty_reference(tmp_path: Path) -> None:
    assert not of({}, {}, tmp_path).equal
    assert not of({"a": b""}, {}, tmp_path / "2").equal


def test_names_that_differ_with_every_run_find_their_partner(tmp_path: Path) -> None:
    names = [{"match": r"_[0-9A-F]{4}\.SAFE", "becomes": ".SAFE"}]
    assert of({"P_12AB.SAFE/m": b"1"}, {"P_FFFF.SAFE/m": b"1"}, tmp_path, names=names).equal
    twice = of({"P_12AB.SAFE/m": b"1", "P_12AC.SAFE/m": b"1"}, {"P_FFFF.SAFE/m": b"1"}, tmp_path / "2", names=names)
    assert twice.extra == ["P_12AC.SAFE/m"]


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(StrangeError, match="neither file nor folder"):
        files_below(tmp_path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (XML.replace("p:", "q:").replace("xmlns:p", "xmlns:q"), ""),
        (XML.replace("<p:orbit>", "<!-- a comment -->\n  <p:orbit>"), ""),
        (XML.replace("2024", "2025"), "/product/made[1] is '2025', in the reference '2024'"),
        (XML.replace('id="1"', ""), "/product/made[1]/@id is missing"),
        (XML.replace("<p:x>2.00</p:x>", ""), "/product/orbit[1]/x[2] is missing"),
        (XML.replace('<p:file name="a"/>', '<p:file name="a"/><p:file/>'), "/product/file[2] is not in the reference"),
        (XML.replace("urn:p", "urn:q"), "/product is missing"),
        (
            XML.replace('<p:file name="a"/>', "").replace("<p:orbit>", '<p:file name="a"/><p:orbit>'),
            "/product/file[1] is at another place",
        ),
        ("<broken", "it is no XML"),
    ],
)
def test_xml_is_compared_by_what_it_says(changed: str, told: str, tmp_path: Path) -> None:
    found = one(changed.encode(), XML.encode(), tmp_path, **{"as": "xml"})
    if not told:
        assert found.equal, found.reason
    else:
        assert told in found.reason


def test_parts_of_xml_may_differ(tmp_path: Path) -> None:
    changed = XML.replace("2024", "2025").replace('id="1"', 'id="2"').replace("1.00", "1.01").encode()
    rule = {"as": "xml", "ignore": ["//p:made"], "namespaces": {"p": "urn:p"}}
    assert not one(changed, XML.encode(), tmp_path, **rule).equal
    assert one(changed, XML.encode(), tmp_path / "2", **rule, tolerances={"*/orbit/x": {"absolute": 0.02}}).equal
    attribute = {"as": "xml", "ignore": ["//@id", "//p:made/text()", "//p:x"], "namespaces": {"p": "urn:p"}}
    assert one(changed, XML.encode(), tmp_path / "3", **attribute).equal


def test_xml_of_a_processor_brings_nothing_in(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    entity = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]><a>&e;</a>'.encode()
    found = one(entity, b"<a>password</a>", tmp_path / "x", **{"as": "xml"})
    assert not found.equal
    bomb = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "' + "&b;" * 50 + '">]><a>&c;</a>'
    assert not one(bomb.encode(), b"<a>x</a>", tmp_path / "y", **{"as": "xml"}).equal


def test_json_is_compared_by_what_it_says(tmp_path: Path) -> None:
    made = {"created": 1, "gaps": [{"at": 1.0}], "b": None}
    reference = {"b": None, "gaps": [{"at": 1.004}], "created": 2}
    rule: dict[str, Any] = {"as": "json", "ignore": ["/created"], "tolerances": {"/gaps/*": {"relative": 0.01}}}
    mine, theirs = (json.dumps(each).encode() for each in (made, reference))
    assert one(mine, theirs, tmp_path, **rule).equal
    strict = one(mine, theirs, tmp_path / "2", **{"as": "json"})
    assert strict.different[0].differences == [
        "/created is '1', in the reference '2'",
        "/gaps/[0]/at is '1.0', in the reference '1.004'",
    ]
    assert "it is no JSON" in one(b"{", b"{}", tmp_path / "3", **{"as": "json"}).reason
    assert "is no JSON" in one(b"[" * 200_000, b"[]", tmp_path / "4", **{"as": "json"}).reason


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6)),
    st.floats(0, 10),
    st.floats(0, 0.1),
    st.data(),
)
def test_numbers_are_judged_as_numpy_does(
    tmp_path_factory: pytest.TempPathFactory, reference: Any, absolute: float, relative: float, data: st.DataObject
) -> None:
    shift = data.draw(arrays.arrays(np.float64, len(reference), elements=st.floats(-20, 20)))
    made = reference + shift
    found = one(
        made.astype(">f8").tobytes(),
        reference.astype(">f8").tobytes(),
        tmp_path_factory.mktemp("numbers"),
        **{"as": "numbers", "type": ">f8", "tolerances": {"*": {"absolute": absolute, "relative": relative}}},
    )
    assert found.equal == np.allclose(made, reference, rtol=relative, atol=absolute)
    errors = np.abs(made - reference)
    if not found.different + found.within:
        assert errors.max() == 0
        return
    [variable] = (found.different + found.within)[0].variables
    beyond = ~np.isclose(made, reference, rtol=relative, atol=absolute)
    assert variable.differing == beyond.sum()
    assert variable.first == (int(beyond.argmax()) if beyond.any() else None)
    assert variable.largest_error == errors.max()
    assert math.isclose(variable.mean_error, errors.mean(), rel_tol=1e-9)
    exact = np.quantile(errors, 0.99, method="inverted_cdf")
    assert exact <= variable.p99_error <= exact * 1.008 + 1e-305


def test_integers_of_64_bits_are_exact(tmp_path: Path) -> None:
    pairs = [(2**62 + 1, 2**62), (-(2**63), 2**63 - 1), (5, 5)]
    made, reference = (struct.pack("<3q", *each) for each in zip(*pairs, strict=True))
    found = one(made, reference, tmp_path, **{"as": "numbers", "type": "<i8"})
    [variable] = found.different[0].variables
    assert (variable.differing, variable.first, variable.largest_error) == (2, 0, float(2**64 - 1))


def test_what_is_no_number_is_equal_only_to_itself(tmp_path: Path) -> None:
    made = np.array([np.nan, np.inf, np.nan, 1, -np.inf])
    reference = np.array([np.nan, np.inf, 1, np.nan, np.inf])
    rule = {"as": "numbers", "type": "<f8", "tolerances": {"*": {"absolute": 1e300, "relative": 10}}}
    found = one(made.tobytes(), reference.tobytes(), tmp_path, **rule)
    [variable] = found.different[0].variables
    assert (variable.differing, variable.not_comparable, variable.first) == (3, 3, 2)
    assert json.loads(found.model_dump_json())["equal"] is False


def test_components_of_records_have_tolerances_of_their_own(tmp_path: Path) -> None:
    kind = np.dtype([("time", ">i8"), ("iq", "<f4", (2,))])
    reference = np.zeros(1000, kind)
    made = reference.copy()
    made["iq"][7] = [0.5, 2]
    made["time"][3] = 1
    components = [{"name": "time", "type": ">i8"}, {"name": "iq", "type": "<f4", "count": 2}]
    rule = {"as": "numbers", "type": components, "skip": 4, "tolerances": {"iq": {"absolute": 1}}}
    found = one(b"head" + made.tobytes(), b"head" + reference.tobytes(), tmp_path, **rule)
    time, values = found.different[0].variables
    assert (time.name, time.values, time.differing, time.first) == ("time", 1000, 1, 3)
    assert (values.name, values.values, values.differing, values.first, values.p99_error) == ("iq", 2000, 1, 15, 0)
    assert (
        found.different[0].differences[1].startswith("iq: 1 of 2000 values differ, the largest error is 2, the first")
    )
    head = one(b"haed" + made.tobytes(), b"head" + made.tobytes(), tmp_path / "2", **rule)
    assert head.reason.endswith("the 4 octets before the values differ")


def test_arrays_of_another_form_are_told(tmp_path: Path) -> None:
    rule = {"as": "numbers", "type": "<f8"}
    assert "it has 1 values, the reference 2" in one(bytes(8), bytes(16), tmp_path, **rule).reason
    assert "no whole number of values" in one(bytes(9), bytes(9), tmp_path / "2", **rule).reason
    for name, array in (("a", np.zeros((2, 3))), ("b", np.zeros((3, 2))), ("c", np.full((2, 3), 1e-9))):
        np.save(tmp_path / f"{name}.npy", array)
    files = {name: (tmp_path / f"{name}.npy").read_bytes() for name in "abc"}
    npy = {"as": "npy", "tolerances": {"value": {"absolute": 1e-6}}}
    found = one(files["a"], files["b"], tmp_path / "3", **npy)
    assert "an array <f8 [2, 3], the reference <f8 [3, 2]" in found.reason
    near = one(files["c"], files["a"], tmp_path / "4", **npy)
    assert near.equal and near.reason == "1 files are as the reference, 1 of them within the tolerance"
    assert "can't be read as an array" in one(b"junk", files["a"], tmp_path / "5", **npy).reason


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"files": [{"match": "*", "as": "xml", "ignore": ["//["]}]}, "is no XPath"),
        ({"files": [{"match": "*", "as": "numbers", "type": "O"}]}, "no type of numbers"),
        ({"files": [{"match": "*", "as": "numbers", "type": "f99"}]}, "no type of numbers"),
        ({"files": [{"match": "*", "as": "guess"}]}, "does not match any of the expected tags"),
        ({"files": [{"match": "*", "as": "bits", "ignore": []}]}, "Extra inputs"),
        ({"names": [{"match": "("}]}, "no regular expression"),
    ],
)
def test_wrong_rules_are_told(rules: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Rules.model_validate(rules)


def test_the_first_rule_that_matches_counts(tmp_path: Path) -> None:
    rules = [{"match": "*.log", "as": "nothing"}, {"match": "*", "as": "bits"}]
    assert of({"a.log": b"1", "b": b"1"}, {"a.log": b"2", "b": b"1"}, tmp_path, files=rules).equal
