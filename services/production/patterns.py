"""Patterns of product names: whether an operator's is usable, the usual one of a type, and names that match one."""

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from itertools import islice
from typing import Any

_T = r"\d{8}T\d{6}"
_UNBOUNDED = 64
SAMPLES = 40


def default_pattern(mission: str, product_type: str) -> str:
    """The usual names of a type of product."""
    kind = re.escape(product_type)
    match mission:
        case "S1":
            return rf"S1[A-D]_{kind}(?:[SD][HV]|HH|HV|VV|VH|__)_{_T}_{_T}_\d{{6}}_(?:[0-9A-F]{{6}}|_{{6}})_[0-9A-F]{{4}}\.SAFE"
        case "S2":
            return rf"S2[A-D]_(?:OPER|TEST|USER)_{kind}_[A-Z0-9_.]{{8,160}}(?:\.SAFE)?"
        case _:
            return rf"S3[A-D]_{kind}_{_T}_{_T}_{_T}_\w{{17}}_\w{{3}}_\w{{8}}\.(?:SEN3|ISIP)"


def problem_of(pattern: str) -> str:
    """What is wrong with a regular expression, and how to mend it; empty where nothing is."""
    try:
        parsed = parser.parse(pattern, re.ASCII)
    except re.error as error:
        return f"{pattern!r} is no regular expression: {error.msg} at character {error.pos}; correct it"
    if _nested(parsed, inside=False):
        return f"{pattern!r} has a repetition within a repetition, which can take for ever; give the inner one a bound"
    return ""


def samples(pattern: str) -> list[str]:
    """Some names that match a pattern."""
    found = islice(_texts(list(parser.parse(pattern, re.ASCII))), SAMPLES)
    return [each for each in found if re.fullmatch(pattern, each, re.ASCII)]


def _nested(parsed: Any, *, inside: bool) -> bool:
    for code, argument in parsed:
        match code:
            case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
                endless = argument[1] > _UNBOUNDED
                if (endless and inside) or _nested(argument[2], inside=inside or endless):
                    return True
            case codes.SUBPATTERN:
                if _nested(argument[3], inside=inside):
                    return True
            case codes.ATOMIC_GROUP:
                if _nested(argument, inside=inside):
                    return True
            case codes.BRANCH:
                if any(_nested(each, inside=inside) for each in argument[1]):
                    return True
            case codes.ASSERT | codes.ASSERT_NOT:
                if _nested(argument[1], inside=inside):
                    return True
    return False


def _texts(parts: list[Any]) -> Iterator[str]:
    """Texts of a sequence of parts: the first of each part first, then others."""
    if not parts:
        yield ""
        return
    for head in _part(*parts[0]):
        for tail in _texts(parts[1:]):
            yield head + tail


def _part(code: Any, argument: Any) -> Iterator[str]:
    match code:
        case codes.LITERAL:
            yield chr(argument)
        case codes.NOT_LITERAL | codes.ANY:
            yield "x" if argument != ord("x") else "y"
        case codes.IN:
            yield from _set(argument)
        case codes.BRANCH:
            for each in argument[1]:
                yield from _texts(list(each))
        case codes.SUBPATTERN:
            yield from _texts(list(argument[3]))
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            least, most, inner = argument
            for count in dict.fromkeys((least, min(most, least + 1))):
                one = next(_texts(list(inner)), "")
                yield one * count
        case _:
            yield ""


def _set(members: Any) -> Iterator[str]:
    for code, argument in members:
        match code:
            case codes.LITERAL:
                yield chr(argument)
            case codes.RANGE:
                yield chr(argument[0])
            case codes.CATEGORY:
                yield {codes.CATEGORY_DIGIT: "0", codes.CATEGORY_WORD: "A"}.get(argument, " ")
            case _:
                yield "!"
