"""The Reed-Solomon code (255,223) of CCSDS 131.0-B-3 §4: encoding, a fast check, correction of up to 16 symbols.

The code is over GF(2⁸) with F(x) = x⁸ + x⁷ + x² + x + 1 (§4.3.3), its generator polynomial is
g(x) = ∏ (x - a¹¹ʲ) for j = 112 … 143 (§4.3.4), and symbols are transmitted in the dual basis (§4.3.9, annex F).
With interleaving depth I, symbol k of the codeblock belongs to codeword k mod I (§4.3.5).

Encoding and checking are linear: each symbol of a codeword contributes a row of a table, and rows are added (XOR). The
check asks the first 8 of the 32 syndromes: an error of up to 8 symbols can't make them zero, any other does with a
probability of 2⁻⁶⁴. Only codewords that fail it are decoded.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

SYMBOLS, DATA = 255, 223
CHECKS = SYMBOLS - DATA
CORRECTABLE = CHECKS // 2
_FIRST_ROOT, _PRIMITIVE = 112, 11
_CHECKED = 8  # syndromes that the fast check asks: one word
_BATCH = 1024  # codewords that are decoded together, to bound memory

# Annex F: rows of the matrix from the conventional basis to the dual basis, of a⁷ … a⁰.
_DUAL_ROWS = (0x8D, 0xEF, 0xEC, 0x86, 0xFA, 0x99, 0xAF, 0x7B)


def _field() -> tuple[Ints, Bytes]:
    """Logarithms (of 0: 512, whose powers are 0) and powers of a, so that products need no test for zero."""
    logarithms, powers = np.full(256, 512, np.int64), np.zeros(1025, np.uint8)
    value = 1
    for exponent in range(255):
        logarithms[value] = exponent
        powers[[exponent, exponent + 255]] = value
        value <<= 1
        value ^= 0x187 if value & 0x100 else 0
    return logarithms, powers


_LOG, _EXP = _field()
_TO_DUAL = np.array(
    [
        np.bitwise_xor.reduce([row for bit, row in enumerate(_DUAL_ROWS) if u >> (7 - bit) & 1] or [0])
        for u in range(256)
    ],
    np.uint8,
)
_FROM_DUAL = np.argsort(_TO_DUAL).astype(np.uint8)


def multiply(a: Bytes, b: Bytes) -> Bytes:
    """Products in the field, element by element."""
    products: Bytes = _EXP[_LOG[a] + _LOG[b]]
    return products


def _root(index: int | Ints, degree: int | Ints) -> Bytes:
    """The power `degree` of root number `index` of g(x)."""
    powers: Bytes = _EXP[np.asarray(_PRIMITIVE * (_FIRST_ROOT + index) * degree % 255)]
    return powers


@cache
def generator() -> Bytes:
    """The coefficients of g(x), that of x⁰ first."""
    found = np.array([1], np.uint8)
    for index in range(CHECKS):
        shifted = np.append(np.uint8(0), found)
        shifted[:-1] ^= multiply(found, np.broadcast_to(_root(index, 1), found.shape))
        found = shifted
    return found


@cache
def _encoding_table() -> Words:
    """What a data symbol in the dual basis adds to the check symbols, as 4 words: by position and value."""
    remainder = generator()[:CHECKS].copy()  # of x³², the weight of the last data symbol
    table = np.empty((DATA, 256, CHECKS), np.uint8)
    values = _FROM_DUAL[:, None]
    for position in range(DATA - 1, -1, -1):
        table[position] = _TO_DUAL[multiply(values, remainder[None, ::-1])]
        carry = remainder[-1]
        remainder = np.append(np.uint8(0), remainder[:-1])
        remainder ^= multiply(generator()[:CHECKS], np.full(CHECKS, carry))
    return table.view(np.uint64)


@cache
def _syndrome_table() -> Words:
    """What a symbol in the dual basis adds to the syndromes, as 4 words: by position and value."""
    table = np.empty((SYMBOLS, 256, CHECKS), np.uint8)
    for position in range(SYMBOLS):
        table[position] = multiply(_FROM_DUAL[:, None], _root(np.arange(CHECKS), SYMBOLS - 1 - position)[None])
    return table.view(np.uint64)


@cache
def _check_table() -> Words:
    """The first word of the syndromes alone."""
    return np.ascontiguousarray(_syndrome_table()[:, :, 0])


@lru_cache
def _compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two loops over symbols, compiled when they are first needed (a second)."""
    from numba import njit  # noqa: PLC0415  # only a session with check symbols needs the compiler

    def check(block: Bytes, table: Words, found: Words) -> None:
        # Some positions of all codewords at a time: their part of the table stays in the first cache.
        for start in range(0, 255, 15):
            for frame in range(block.shape[0]):
                for word in range(block.shape[2]):
                    total = found[frame, word]
                    for position in range(start, start + 15):
                        total ^= table[position, block[frame, position, word]]
                    found[frame, word] = total

    def four(block: Bytes, table: Words, found: Words) -> None:
        for frame in range(block.shape[0]):
            for word in range(block.shape[2]):
                a = b = c = d = np.uint64(0)
                for position in range(table.shape[0]):
                    symbol = block[frame, position, word]
                    a ^= table[position, symbol, 0]
                    b ^= table[position, symbol, 1]
                    c ^= table[position, symbol, 2]
                    d ^= table[position, symbol, 3]
                found[frame, word, 0], found[frame, word, 1] = a, b
                found[frame, word, 2], found[frame, word, 3] = c, d

    return njit(check), njit(four)


def failed(block: Bytes, depth: int) -> Bools:
    """Which codewords of codeblocks (one a row) aren't of the code: an array of frames and codewords."""
    found = np.zeros((len(block), depth), np.uint64)
    _compiled()[0](block.reshape(-1, SYMBOLS, depth), _check_table(), found)
    wrong: Bools = found != 0
    return wrong


def encode(block: Bytes, depth: int) -> None:
    """Set the check symbols of codeblocks (one a row), which are the last 32·I octets."""
    checks = _weighed(block, depth, _encoding_table())
    block[:, DATA * depth :] = checks.transpose(0, 2, 1).reshape(len(block), -1)


def _weighed(block: Bytes, depth: int, table: Words) -> Bytes:
    """32 octets of each codeword of codeblocks: the sum of what its symbols add by a table."""
    found = np.empty((len(block), depth, CHECKS // 8), np.uint64)
    _compiled()[1](block.reshape(-1, SYMBOLS, depth), table, found)
    return found.view(np.uint8).reshape(len(block), depth, CHECKS)


def correct(block: Bytes, depth: int) -> tuple[Ints, Bools]:
    """Correct codeblocks (one a row) in place; return symbols corrected, and whether it succeeded, of each.

    A codeblock that has an uncorrectable codeword keeps it as it was received.
    """
    symbols, succeeded = np.zeros(len(block), np.int64), np.ones(len(block), np.bool_)
    frames, words = np.nonzero(failed(block, depth))
    by_word = block.reshape(len(block), SYMBOLS, depth)
    for start in range(0, len(frames), _BATCH):
        at = frames[start : start + _BATCH], slice(None), words[start : start + _BATCH]
        received = by_word[at]
        counts = _decode(received)
        good = (counts >= 0) & ~failed(received, 1)[:, 0]
        by_word[at[0][good], :, at[2][good]] = received[good]
        np.add.at(symbols, at[0][good], counts[good])
        succeeded[at[0][~good]] = False
    return symbols, succeeded


def _decode(received: Bytes) -> Ints:
    """Correct codewords (one a row) in place; return the number of errors of each, or -1 if uncorrectable."""
    syndromes = _weighed(received, 1, _syndrome_table())[:, 0]
    locator, count = _berlekamp_massey(syndromes)
    inverse = np.arange(SYMBOLS - 1, -1, -1) * -_PRIMITIVE % 255  # logarithms of 1/X at each position
    roots = _evaluate(locator, inverse[None]) == 0
    count = np.where((count <= CORRECTABLE) & (roots.sum(axis=1) == count), count, -1)
    word, position = np.nonzero(roots & (count >= 0)[:, None])
    # Forney's formula: Y = X^(1-112) Ω(1/X) / Λ'(1/X), with Ω(x) = S(x) Λ(x) mod x³² and Λ' the formal derivative.
    evaluator = np.zeros((len(received), CORRECTABLE), np.uint8)  # its degree is below the number of errors
    for degree in range(CORRECTABLE):
        evaluator[:, degree:] ^= multiply(syndromes[:, : CORRECTABLE - degree], locator[:, degree, None])
    derivative = np.zeros_like(locator)
    derivative[:, 0:-1:2] = locator[:, 1::2]
    at = inverse[position][:, None]
    top, bottom = _evaluate(evaluator[word], at)[:, 0], _evaluate(derivative[word], at)[:, 0]
    quotient = _EXP[(_LOG[top] - _LOG[bottom] + at[:, 0] * (_FIRST_ROOT - 1)) % 255]
    magnitude = np.where((top != 0) & (bottom != 0), quotient, 0)
    received[word, position] ^= _TO_DUAL[magnitude]
    return count


def _evaluate(polynomials: Bytes, logarithms: Ints) -> Bytes:
    """Values of polynomials, one a row from x⁰ on, at points given by their logarithms: a row for each, or for all."""
    found = np.zeros((len(polynomials), logarithms.shape[1]), np.uint8)
    for degree in range(polynomials.shape[1] - 1, -1, -1):
        found = _EXP[_LOG[found] + logarithms] ^ polynomials[:, degree, None]
    return found


def _berlekamp_massey(syndromes: Bytes) -> tuple[Bytes, Ints]:
    """The locator polynomials Λ(x) = ∏ (1 - X x), of degree ≤ 16 if correctable, and how many errors they claim."""
    number = len(syndromes)
    locator, before = np.zeros((2, number, CHECKS + 1), np.uint8)
    locator[:, 0] = before[:, 0] = 1
    count, last = np.zeros(number, np.int64), np.ones(number, np.uint8)
    for step in range(CHECKS):
        before[:, 1:] = before[:, :-1].copy()
        before[:, 0] = 0
        terms = multiply(locator[:, : step + 1], syndromes[:, step::-1])
        discrepancy = np.bitwise_xor.reduce(terms, axis=1)
        factor = _EXP[_LOG[discrepancy] + (255 - _LOG[last]) % 255]
        kept = locator.copy()
        locator ^= multiply(before, factor[:, None])
        longer = (discrepancy != 0) & (2 * count <= step)
        before[longer], last[longer] = kept[longer], discrepancy[longer]
        count[longer] = step + 1 - count[longer]
    return locator[:, : CORRECTABLE + 1], count
