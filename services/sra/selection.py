"""The best contacts of one antenna: those that together are worth the most, with set-up time between them.

Weighted interval scheduling: exact, by dynamic programming over the contacts in the order of their ends.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Candidate:
    """A contact that could be: times in seconds since 1970, its worth in thousandths of a weighted second."""

    stop: float
    start: float
    satellite: str
    station: str
    worth: int
    elevation: float
    timeliness: str
    cut: bool = False

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.stop - self.start

    def overlaps(self, other: "Candidate", gap: float = 0.0) -> bool:
        """Whether another one is meanwhile, or less than `gap` seconds before or after."""
        return self.start < other.stop + gap and other.start < self.stop + gap


def best(candidates: Sequence[Candidate], setup: float) -> list[Candidate]:
    """Return the choice of the greatest worth with at least `setup` seconds between two; the same for the same input.

    Of two choices that are worth the same, it is the one that ends earlier.
    """
    ordered = sorted(candidates)
    stops = [each.stop for each in ordered]
    before = [bisect_right(stops, each.start - setup) for each in ordered]
    worth = [0]
    for index, each in enumerate(ordered):
        worth.append(max(worth[index], worth[min(before[index], index)] + each.worth))
    chosen, index = [], len(ordered)
    while index:
        if worth[index] == worth[index - 1]:
            index -= 1
        else:
            chosen.append(ordered[index - 1])
            index = min(before[index - 1], index - 1)
    return chosen[::-1]
