"""Patterns of product names: whether an operator's is usable, the usual one of a type, and names that match one."""

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

_T = r"\d{8}T\d{6}"
_POLARISATION = "(?:[SD][HV]|HH|HV|VV|VH|__)"
LONGEST_NAME = 255
WIDE, WIDE_LIMIT = 16, 4
SAMPLES = 40


def default_pattern(mission: str, product_type: str) -> str:
    """The usual names of a type of product."""
    kind = re.escape(product_type)
    match mission:
        case "S1":
            return rf"S1[A-D]_{kind}{_POLARISATION}_{_T}_{_T}_\d{{6}}_(?:[0-9A-F]{{6}}|_{{6}})_[0-9A-F]{{4}}\.SAFE"
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
    if parsed.getwidth()[0] > LONGEST_NAME:
        return f"{pattern!r} matches only names of over {LONGEST_NAME} characters; shorten it"
    if _ambiguous(parsed) or _degree(parsed) > WIDE_LIMIT:
        return (
            f"{pattern!r} can take for ever: it repeats what can match in several ways, or too much;"
            " repeat only single characters, and say how often"
        )
    return ""


@lru_cache(maxsize=1024)
def samples(pattern: str) -> list[str]:
    """Some names that match a pattern."""
    found = islice(_texts(list(parser.parse(pattern, re.ASCII))), SAMPLES)
    return [each for each in found if re.fullmatch(pattern, each, re.ASCII)]


def _ambiguous(parsed: Any) -> bool:
    """Whether something is repeated that can match the same text in several ways."""
    return any(
        (_is_repeat(code) and argument[0] != argument[1] and argument[1] > 1 and _varies(argument[2]))
        or any(_ambiguous(inner) for inner in _inner(code, argument))
        for code, argument in parsed
    )


def _varies(parsed: Any) -> bool:
    return any(
        code is codes.BRANCH
        or (_is_repeat(code) and argument[0] != argument[1])
        or any(_varies(inner) for inner in _inner(code, argument))
        for code, argument in parsed
    )


def _degree(parsed: Any) -> int:
    """How many repetitions may share a text among them."""
    total = 0
    for code, argument in parsed:
        within = sum(_degree(inner) for inner in _inner(code, argument))
        if _is_repeat(code):
            within = within * min(int(argument[1]), 2 * WIDE_LIMIT) + (argument[1] - argument[0] > WIDE)
        total += within
    return total


def _is_repeat(code: Any) -> bool:
    return code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}


def _inner(code: Any, argument: Any) -> list[Any]:
    """What a part of an expression has within."""
    match code:
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            return [argument[2]]
        case codes.SUBPATTERN:
            return [argument[3]]
        case codes.ATOMIC_GROUP:
            return [argument]
        case codes.BRANCH | codes.ASSERT | codes.ASSERT_NOT:
            return list(argument[1]) if code is codes.BRANCH else [argument[1]]
        case codes.GROUPREF_EXISTS:
            return [each for each in argument[1:] if each is not None]
    return []


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
                yield (one * count)[:LONGEST_NAME]
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
