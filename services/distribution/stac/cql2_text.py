"""CQL2 text to CQL2 JSON (OGC 21-065r2, annexes B and C), so that one translation serves both.

The grammar is our own: the one of pygeofilter reads `a OR b AND c` from left to right.
"""

import json
from typing import Any

import shapely
from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from refsys.services.distribution.stac.errors import bad_request

MAX_CHARACTERS = 50_000

Json = Any

GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: negation (_AND negation)*
?negation: _NOT negation -> not_
    | primary
?primary: "(" either ")"
    | call
    | NAME -> truth
    | value OPERATOR value -> comparison
    | value _IS _NULL -> is_null
    | value _IS _NOT _NULL -> is_not_null
    | value _LIKE value -> like
    | value _NOT _LIKE value -> not_like
    | value _BETWEEN value _AND value -> between
    | value _NOT _BETWEEN value _AND value -> not_between
    | value _IN "(" value ("," value)* ")" -> in_
    | value _NOT _IN "(" value ("," value)* ")" -> not_in
?value: call
    | NAME -> name
    | QUOTED -> quoted
    | NUMBER -> number
    | STRING -> string
    | geometry -> shape
call: NAME "(" value ("," value)* ")"
geometry: SHAPE DIMENSION? group
group: "(" part ("," part)* ")"
?part: group | geometry | position
position: NUMBER+

SHAPE.3: /(MULTI)?(POINT|LINESTRING|POLYGON)(?=\s*(Z\s*)?\()/i | /GEOMETRYCOLLECTION(?=\s*(Z\s*)?\()/i
DIMENSION.3: /Z(?=\s*\()/i
_AND.2: /AND(?![\w:.])/i
_OR.2: /OR(?![\w:.])/i
_NOT.2: /NOT(?![\w:.])/i
_IS.2: /IS(?![\w:.])/i
_NULL.2: /NULL(?![\w:.])/i
_LIKE.2: /LIKE(?![\w:.])/i
_BETWEEN.2: /BETWEEN(?![\w:.])/i
_IN.2: /IN(?![\w:.])/i
OPERATOR: "=" | "<>" | "<=" | ">=" | "<" | ">"
NAME: /[A-Za-z_][\w:.]*/
QUOTED: /"[^"]+"/
STRING: /'(?:[^']|'')*'/
NUMBER: /[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?/
%ignore /\s+/
"""

_INSTANTS = {"timestamp", "date"}


def parse(text: str) -> Json:
    """Return a filter in CQL2 text as CQL2 JSON; 400 with the position where it cannot be read."""
    if len(text) > MAX_CHARACTERS:
        raise bad_request("filter", f"has {len(text)} characters, {MAX_CHARACTERS} are allowed")
    try:
        return _TO_JSON.transform(_PARSER.parse(text))
    except UnexpectedInput as error:
        position = error.pos_in_stream or 0
        near = text[max(position - 10, 0) : position + 20]
        raise bad_request("filter", f"is not CQL2 text at position {position}, near '{near}'") from error
    except VisitError as error:
        raise bad_request("filter", str(error.orig_exc)[:300]) from error
    except (LarkError, RecursionError) as error:
        raise bad_request("filter", "is not CQL2 text, or is nested too deeply") from error


def _operation(name: str, *arguments: Json) -> Json:
    return {"op": name, "args": list(arguments)}


@v_args(inline=True)
class _ToJson(Transformer[Token, Json]):
    """Builds CQL2 JSON from the leaves up."""

    def either(self, *parts: Json) -> Json:
        return _operation("or", *parts)

    def both(self, *parts: Json) -> Json:
        return _operation("and", *parts)

    def not_(self, part: Json) -> Json:
        return _operation("not", part)

    def truth(self, name: Token) -> Json:
        return self.name(name)

    def comparison(self, left: Json, operator: Token, right: Json) -> Json:
        return _operation(str(operator), left, right)

    def is_null(self, value: Json) -> Json:
        return _operation("isNull", value)

    def is_not_null(self, value: Json) -> Json:
        return self.not_(self.is_null(value))

    def like(self, value: Json, pattern: Json) -> Json:
        return _operation("like", value, pattern)

    def not_like(self, value: Json, pattern: Json) -> Json:
        return self.not_(self.like(value, pattern))

    def between(self, value: Json, low: Json, high: Json) -> Json:
        return _operation("between", value, low, high)

    def not_between(self, value: Json, low: Json, high: Json) -> Json:
        return self.not_(self.between(value, low, high))

    def in_(self, value: Json, *values: Json) -> Json:
        return _operation("in", value, list(values))

    def not_in(self, value: Json, *values: Json) -> Json:
        return self.not_(self.in_(value, *values))

    def call(self, name: Token, *arguments: Json) -> Json:
        function = name.lower()
        if function in _INSTANTS and len(arguments) == 1:
            return {function: arguments[0]}
        if function in {"interval", "bbox"}:
            return {function: list(arguments)}
        return _operation(function, *arguments)

    def name(self, name: Token) -> Json:
        return {"true": True, "false": False}.get(name.lower(), {"property": str(name)})

    def quoted(self, name: Token) -> Json:
        return {"property": str(name)[1:-1]}

    def number(self, text: Token) -> Json:
        return int(text) if text.lstrip("+-").isdigit() and len(text) < 30 else float(text)

    def string(self, text: Token) -> Json:
        return str(text)[1:-1].replace("''", "'")

    def shape(self, wkt: str) -> Json:
        try:
            return json.loads(shapely.to_geojson(shapely.from_wkt(wkt)))
        except (shapely.errors.GEOSException, ValueError) as error:
            raise ValueError(f"'{wkt[:60]}' is not well-known text: {error}") from error

    def geometry(self, *parts: str) -> str:
        return " ".join(parts)

    def group(self, *parts: str) -> str:
        return f"({', '.join(parts)})"

    def position(self, *numbers: Token) -> str:
        return " ".join(numbers)


_PARSER = Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)
_TO_JSON = _ToJson()
