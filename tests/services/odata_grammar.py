"""OData requests at random: right ones after the grammar, nearly right ones, and rubbish."""

from hypothesis import strategies as st

from refsys.services.distribution.odata.properties import ATTRIBUTES, ORDERABLE

KINDS = ("String", "Integer", "Double", "Boolean", "DateTimeOffset")
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(
    lambda text: "'" + text.replace("'", "''") + "'"
)
_known = st.sampled_from(("'S1A_X.EOF'", "'AUX_'", "'%_\\'", "''", "'^S1[A-D]'", "'('", "'a{5000}'", "'SENTINEL-1'"))
_strings = st.one_of(_known, _text)
_numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str), st.floats(-1e30, 1e30).map(str), st.sampled_from(("1e999", "-0", "0.5"))
)
_dates = st.one_of(
    st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    st.sampled_from(("2024-01-01", "2024-02-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999+14:00")),
)
_others = st.sampled_from(
    (
        "null", "true", "false", "2b17b57d-fff4-4645-b539-91f305c27c69", "duration'P1D'", "12:00:00",
        "OData.CSC.ProductionType'systematic_production'", "-5", "()", "(1,2)",
    )
)  # fmt: skip
literals = st.one_of(_strings, _numbers, _dates, _others)
properties = st.sampled_from(
    (*ORDERABLE, "Collection/Name", "Footprint", "Checksum", "Nothing", "a/Value", *ATTRIBUTES)
)
_comparators = st.sampled_from((" eq ", " ne ", " gt ", " ge ", " lt ", " le ", " EQ ", "  eq  ", " add ", " has "))
_functions = st.sampled_from(
    (
        "concat", "contains", "endswith", "indexof", "length", "startswith", "substring", "matchesPattern", "tolower",
        "toupper", "trim", "year", "geo.distance", "nothing", "OData.CSC.Intersects", "now",
    )
)  # fmt: skip


def _points(least: int, most: int) -> st.SearchStrategy[str]:
    point = st.tuples(st.integers(-400, 400), st.integers(-100, 100)).map(lambda pair: f"{pair[0]} {pair[1]}")
    return st.lists(point, min_size=least, max_size=most).map(",".join)


_rings = _points(3, 6).map(lambda points: f"(({points},{points.split(',')[0]}))")
_shapes = st.one_of(
    _points(1, 1).map(lambda points: f"POINT({points})"),
    _points(1, 5).map(lambda points: f"LINESTRING ({points})"),
    _rings.map(lambda ring: f"POLYGON{ring}"),
    st.lists(_rings, max_size=3).map(lambda rings: f"MULTIPOLYGON({','.join(rings)})"),
    st.sampled_from(("POLYGON EMPTY", "POINT Z(1 2 3)", "POINT(nan nan)", "GEOMETRYCOLLECTION(POINT(0 0))", "POINT(")),
)
_areas = st.builds(
    "{}(area=geography'{}{}')".format,
    st.sampled_from(("OData.CSC.Intersects", "OData.CSC.Within", "Disjoints", "OData.CSC.Touches")),
    st.sampled_from(("SRID=4326;", "", "SRID=3857;")),
    _shapes,
)
_calls = st.builds("{}({})".format, _functions, st.lists(st.one_of(properties, literals), max_size=4).map(", ".join))
_operands = st.one_of(properties, literals, _calls)
_comparisons = st.builds("{}{}{}".format, _operands, _comparators, _operands)
_right = st.one_of(
    st.builds("Name{}{}".format, st.sampled_from((" eq ", " gt ", " ne ")), _known),
    st.builds("{}(Name,{})".format, st.sampled_from(("contains", "startswith", "endswith", "matchesPattern")), _text),
    st.builds("ContentLength{}{}".format, st.sampled_from((" lt ", " ge ")), st.integers(0, 10**12)),
    st.builds("ContentDate/Start{}{}".format, st.sampled_from((" lt ", " ge ")), _dates),
    st.builds("orbitNumber{}{}".format, st.sampled_from((" eq ", " ge ")), st.integers(-5, 10**6)),
)
_lists = st.builds(
    "{}{}({})".format,
    _operands,
    st.sampled_from((" in ", " not in ", " IN")),
    st.lists(literals, max_size=4).map(",".join),
)
_members = st.builds(
    "{}{}{}".format,
    st.sampled_from(("a/Name", "a/Value", "a/OData.CSC.StringAttribute/Value", "a")),
    _comparators,
    literals,
)
_named = st.sampled_from(sorted(ATTRIBUTES)).map("a/Name eq '{}'".format)
_lambdas = st.builds(
    "{}/{}(a:{})".format,
    st.one_of(
        st.sampled_from(KINDS).map(lambda kind: f"Attributes/OData.CSC.{kind}Attribute"),
        st.sampled_from(("Checksum", "StringAttributes", "Attributes", "Name", "Attributes/OData.CSC.NoAttribute")),
    ),
    st.sampled_from(("any", "all")),
    st.lists(
        st.one_of(_members, st.sampled_from(sorted(ATTRIBUTES)).map(lambda n: f"a/Name eq '{n}'")),
        min_size=1,
        max_size=3,
    ).map(" and ".join),
)
_conditions = st.one_of(_right, _right, _right, _comparisons, _lists, _lambdas, _areas, _calls)
filters = st.recursive(
    _conditions,
    lambda inner: st.one_of(
        st.builds("({}{}{})".format, inner, st.sampled_from((" and ", " or ", " AND ", " OR")), inner),
        st.builds("{}({})".format, st.sampled_from(("not ", "not", "NOT ")), inner),
    ),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A filter with some characters removed, doubled or replaced."""
    text = draw(filters)
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(text)))
        inserted = draw(
            st.one_of(st.just(""), st.sampled_from("()'/:,\"\\%;\0 ="), st.characters(exclude_categories=["Cs"]))
        )
        text = text[:position] + inserted + text[position + draw(st.integers(0, 3)) :]
    return text


_values = {
    "$filter": st.one_of(filters, mutated(), st.text(max_size=30)),
    "$orderby": st.one_of(
        st.lists(st.builds("{} {}".format, properties, st.sampled_from(("asc", "desc", ""))), max_size=10).map(","
            .join),
        st.text(max_size=10),
    ),
    "$top": st.one_of(st.integers(-1, 2000).map(str), st.text(max_size=5)),
    "$skip": st.one_of(st.integers(-1, 20_000).map(str), st.text(max_size=5)),
    "$count": st.sampled_from(("true", "True", "1", "0", "x")),
    "$expand": st.sampled_from(("Attributes", "Quicklooks,Assets", "Attributes($select=Name)", "Nodes", "")),
    "$select": st.sampled_from(("Name", "Id,Checksum", "*", "Attributes", "x")),
    "$skiptoken": st.one_of(st.text(max_size=20), st.binary(max_size=30).map(lambda raw: raw.hex())),
    "$format": st.sampled_from(("json", "xml")),
}  # fmt: skip
options = st.lists(
    st.sampled_from(("$filter", "$filter", "$filter", *_values)).flatmap(
        lambda name: st.tuples(st.just(name), _values[name])
    ),
    min_size=1,
    max_size=4,
)
_keys = st.one_of(st.uuids().map(str), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
paths = st.one_of(
    st.sampled_from(("/odata/v1/Products",) * 12 + ("/odata/v1/Products/$count",) * 3 + ("/odata/v1/$metadata",)),
    st.builds(
        "/odata/v1/Products({}){}".format,
        _keys,
        st.sampled_from(("", "/$value", "/Attributes", "/Quicklooks", "/Quicklooks('x')/$value", "/x")),
    ),
)
