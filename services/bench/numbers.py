"""Arrays of numbers beside each other, in pieces: files may be larger than the memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsys.services.bench.found import Variable
from refsys.services.bench.rules import Npy, Numbers, Tolerance, tolerance_of

VALUE = "value"
PIECE_OCTETS = 2**22
_SHIFT, _BINS = 45, 2**18
"""Bins by the exponent and the first 7 bits of the fraction of a float64 that isn't negative."""
_SHARE = 0.99

Array = NDArray[Any]


class UnlikeError(ValueError):
    """Two arrays can't be compared number by number; says why."""


@dataclass
class _Errors:
    """Errors of a variable, in flat memory."""

    name: str
    tolerance: Tolerance
    values: int = 0
    differing: int = 0
    not_comparable: int = 0
    first: int | None = None
    largest: float = 0.0
    relative: float = 0.0
    total: float = 0.0
    zeros: int = 0
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    def add(self, made: Array, reference: Array) -> None:
        """Take the next numbers."""
        made, reference = made.reshape(-1), reference.reshape(-1)
        error = _distance(made, reference)
        size = np.abs(reference.astype(np.complex128 if reference.dtype.kind == "c" else np.float64))
        comparable = np.isfinite(error)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            beyond = ~comparable | (error > self.tolerance.absolute + self.tolerance.relative * size)
            relative = np.where(error == 0, 0.0, error / size)
        if self.first is None and beyond.any():
            self.first = self.values + int(beyond.argmax())
        self.values += len(error)
        self.differing += int(beyond.sum())
        self.not_comparable += int(len(error) - comparable.sum())
        error, relative = error[comparable], relative[comparable]
        if len(error):
            self.largest = max(self.largest, float(error.max()))
            self.total += float(error.sum())
            self.zeros += int((error == 0).sum())
            finite = relative[np.isfinite(relative)]
            self.relative = max(self.relative, float(finite.max()) if len(finite) else 0.0)
            self.bins += np.bincount((error.view(np.uint64) >> np.uint64(_SHIFT)).astype(np.int64), minlength=_BINS)

    def variable(self) -> Variable:
        """What was found."""
        comparable = self.values - self.not_comparable
        return Variable(
            name=self.name,
            values=self.values,
            differing=self.differing,
            not_comparable=self.not_comparable,
            first=self.first,
            largest_error=_finite(self.largest),
            mean_error=_finite(self.total / comparable) if comparable else 0.0,
            p99_error=min(_finite(self._quantile(comparable)), _finite(self.largest)),
            largest_relative_error=_finite(self.relative),
        )

    def _quantile(self, comparable: int) -> float:
        wanted = math.ceil(_SHARE * comparable)
        if self.zeros >= wanted:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self.bins), wanted))
        return float(np.array([(place + 1) << _SHIFT], np.uint64).view(np.float64)[0])


def _finite(value: float) -> float:
    return value if math.isfinite(value) else float(np.finfo(np.float64).max)


def _distance(made: Array, reference: Array) -> NDArray[np.float64]:
    """Absolute differences; 0 for what is the same without being a finite number."""
    if made.dtype.kind in "biu":
        # A float64 hasn't all integers of 64 bits: the difference is taken before, modulo 2⁶⁴, which it never reaches.
        kind = np.int64 if made.dtype.kind == "i" else np.uint64
        one, other = made.astype(kind), reference.astype(kind)
        low, high = np.minimum(one, other), np.maximum(one, other)
        return np.asarray((high.view(np.uint64) - low.view(np.uint64)).astype(np.float64))
    wide = np.complex128 if made.dtype.kind == "c" else np.float64
    one, other = made.astype(wide), reference.astype(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(one - other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))


def compare(rule: Numbers | Npy, made: Path, reference: Path) -> list[Variable]:
    """Compare two files.

    Raises:
        UnlikeError: they differ in form.
    """
    pieces = _raw(rule, made, reference) if isinstance(rule, Numbers) else _npy(made, reference)
    found: dict[str, _Errors] = {}
    for one, other in pieces:
        for name, mine, theirs in _variables(one, other):
            if name not in found:
                found[name] = _Errors(name, tolerance_of(rule.tolerances, name))
            found[name].add(mine, theirs)
    return [each.variable() for each in found.values()]


def _variables(made: Array, reference: Array) -> Iterator[tuple[str, Array, Array]]:
    if made.dtype.names is None:
        yield VALUE, made, reference
    else:
        for name in made.dtype.names:
            yield name, made[name], reference[name]


def _raw(rule: Numbers, made: Path, reference: Path) -> Iterator[tuple[Array, Array]]:
    dtype = rule.dtype
    sizes = [path.stat().st_size - rule.skip for path in (made, reference)]
    if sizes[0] != sizes[1]:
        told = [f"{size / dtype.itemsize:g}" for size in sizes]
        raise UnlikeError(f"it has {told[0]} values, the reference {told[1]}")
    if sizes[0] < 0 or sizes[0] % dtype.itemsize:
        raise UnlikeError(f"{sizes[0]} octets are no whole number of values of {dtype.itemsize}")
    count = max(PIECE_OCTETS // dtype.itemsize, 1)
    with made.open("rb") as one, reference.open("rb") as other:
        if rule.skip and one.read(rule.skip) != other.read(rule.skip):
            raise UnlikeError(f"the {rule.skip} octets before the values differ")
        while octets := one.read(count * dtype.itemsize):
            yield np.frombuffer(octets, dtype), np.frombuffer(other.read(len(octets)), dtype)


def _npy(made: Path, reference: Path) -> Iterator[tuple[Array, Array]]:
    try:
        one, other = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (made, reference))
    except (ValueError, OSError, EOFError) as error:
        raise UnlikeError(f"it can't be read as an array: {error}") from None
    if one.dtype != other.dtype or one.shape != other.shape:
        told = [f"{each.dtype.str} {list(each.shape)}" for each in (one, other)]
        raise UnlikeError(f"it is an array {told[0]}, the reference {told[1]}")
    parts = [one.dtype.fields[name][0].base for name in one.dtype.names] if one.dtype.names else [one.dtype]
    if any(part.kind not in "biufc" for part in parts):
        raise UnlikeError(f"{one.dtype} are no numbers")
    one, other = one.reshape(-1), other.reshape(-1)
    count = max(PIECE_OCTETS // max(one.dtype.itemsize, 1), 1)
    for start in range(0, len(one), count):
        yield np.asarray(one[start : start + count]), np.asarray(other[start : start + count])
