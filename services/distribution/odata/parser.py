"""Parse `$filter` with `odata-query`, tolerating what PRIP clients in the field really send.

The library's grammar is taken as it is; this module only widens some of its tokens and repairs the token
stream: enumeration literals, `not(…)`, one-element lists, a filter wrapped in double quotes.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser
from sly.lex import Token  # type: ignore[import-untyped]

from refsys.services.distribution.odata.errors import bad_filter

MAX_LENGTH = 16_384
GEOGRAPHY_FUNCTIONS = frozenset({"Intersects", "Within", "Disjoints"})
_ENUMERATION_OR_STRING = r"(?:[A-Za-z_][\w.]*\.ProductionType)?'(?:[^']|'')*'"


def _pattern(pattern: str) -> Callable[[Callable[..., Token]], Callable[..., Token]]:
    """Attach a token's regular expression the way the lexer generator looks for it."""

    def decorate(function: Callable[..., Token]) -> Callable[..., Token]:
        function.pattern = pattern  # type: ignore[attr-defined]
        return function

    return decorate


class NotIn(ast.In):
    """`not in`, which OData writes as `not (… in …)`."""


class PripLexer(ODataLexer):
    """The library's lexer with the keyword and literal forms that PRIP clients use."""

    tokens = ODataLexer.tokens

    @_pattern(_ENUMERATION_OR_STRING)
    def STRING(self, token: Token) -> Token:  # noqa: N802 - the token's name
        """Read a string; an enumeration literal is the string of its member."""
        token.value = ast.String(token.value[token.value.index("'") + 1 : -1].replace("''", "'"))
        return token

    @_pattern(r"(?:true|false)\b")
    def BOOLEAN(self, token: Token) -> Token:  # noqa: N802
        """Read a boolean, not the beginning of a name."""
        token.value = ast.Boolean(token.value)
        return token

    @_pattern(r"null\b")
    def NULL(self, token: Token) -> Token:  # noqa: N802
        """Read null, not the beginning of a name."""
        token.value = ast.Null()
        return token

    @_pattern(r"\s+and(?:\s+|(?=\())")
    def AND(self, token: Token) -> Token:  # noqa: N802
        """Read `and`, also directly before a parenthesis."""
        token.value = ast.And()
        return token

    @_pattern(r"\s+or(?:\s+|(?=\())")
    def OR(self, token: Token) -> Token:  # noqa: N802
        """Read `or`, also directly before a parenthesis."""
        token.value = ast.Or()
        return token

    @_pattern(r"not(?:\s+|(?=\())")
    def NOT(self, token: Token) -> Token:  # noqa: N802
        """Read `not`, also directly before a parenthesis."""
        token.value = ast.Not()
        return token

    @_pattern(r"\s+(?:not\s+)?in(?:\s+|(?=\())")
    def IN(self, token: Token) -> Token:  # noqa: N802
        """Read `in` and `not in`, also directly before a parenthesis."""
        token.value = NotIn() if "not" in token.value.lower() else ast.In()
        return token

    @_pattern(r"any(?=\s*\()")
    def ANY(self, token: Token) -> Token:  # noqa: N802
        """Read the lambda operator, not the beginning of a name."""
        token.value = ast.Any()
        return token

    @_pattern(r"all(?=\s*\()")
    def ALL(self, token: Token) -> Token:  # noqa: N802
        """Read the lambda operator, not the beginning of a name."""
        token.value = ast.All()
        return token


def parse(text: str) -> ast._Node:
    """Return the syntax tree of a `$filter`.

    Raises:
        ODataError: 400 with the position of the first thing that cannot be understood.
    """
    source = _unquoted(text.strip())
    if not source:
        raise bad_filter("$filter is empty: leave it out, or give a condition such as Name eq '…'")
    if len(source) > MAX_LENGTH:
        raise bad_filter(f"$filter has {len(source)} characters, at most {MAX_LENGTH} are allowed")
    try:
        tree = ODataParser().parse(_repaired(PripLexer().tokenize(source)))
    except exceptions.TokenizingException as error:
        raise bad_filter(_at(source, error.token.index)) from error
    except exceptions.ParsingException as error:
        position = len(source) if error.eof or error.token is None else error.token.index
        raise bad_filter(_at(source, position)) from error
    except exceptions.ODataException as error:
        raise bad_filter(f"$filter: {error}") from error
    except (AttributeError, NotImplementedError, TypeError) as error:
        # The library's own actions fail on trees that no valid filter has, such as a function in a path.
        raise bad_filter(
            f"$filter cannot be understood: a path or a function call in '{source[:60]}' is wrong"
        ) from error
    if tree is None:
        raise bad_filter(_at(source, len(source)))
    return cast(ast._Node, tree)


def _unquoted(text: str) -> str:
    """Drop the double quotes that some clients put around the whole filter."""
    return text[1:-1].strip() if re.fullmatch(r'".*"', text, re.DOTALL) else text


def _repaired(tokens: Iterator[Token]) -> Iterator[Token]:
    """Give the library's grammar the forms it knows.

    A list of one element, `in ('a')`, gets the comma without which the grammar reads parentheses, and the
    geography functions get the namespace that some clients leave out.
    """
    depth, commas, inside = 0, 0, False
    for token in tokens:
        if (
            token.type == "ODATA_IDENTIFIER"
            and ".".join((*token.value.namespace, token.value.name)) in GEOGRAPHY_FUNCTIONS
        ):
            token.value = ast.Identifier(token.value.name, ("OData", "CSC"))
        elif token.type == "IN":
            depth, commas, inside = 0, 0, True
        elif inside and token.type == "(":
            depth += 1
        elif inside and token.type == "," and depth == 1:
            commas += 1
        elif inside and token.type == ")":
            depth -= 1
            if depth == 0:
                inside = False
                if commas == 0:
                    yield _comma(token)
        yield token


def _comma(before: Token) -> Token:
    comma: Any = Token()
    comma.type = comma.value = ","
    comma.index, comma.lineno = before.index, before.lineno
    return comma


def _at(source: str, position: int) -> str:
    """Describe where the filter stops making sense (positions count from 1)."""
    if position >= len(source):
        return f"$filter ends too early at position {len(source) + 1}: an operand or a parenthesis is missing"
    return f"$filter cannot be understood at position {position + 1}, near '{source[position : position + 24]}'"
