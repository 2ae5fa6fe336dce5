"""Whether a figure got worse: by medians, and only where noise doesn't explain it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST = 3
"""Runs on both sides, below which nothing is said."""
SAMPLES = 2000
OUTSIDE = 0.025
"""Share of the samples on either side of the interval."""
_NORMAL = 1.4826


@dataclass(frozen=True)
class Change:
    """New by old median, and the interval in which 95 % of resampled runs have it."""

    ratio: float
    low: float
    high: float
    threshold: float
    enough: bool
    """Whether there are runs enough to say something."""

    @property
    def worse(self) -> bool:
        """It grew by more than the threshold, and would have grown with other runs of the same kind, too."""
        return self.enough and self.ratio > 1 + self.threshold and self.low > 1

    @property
    def better(self) -> bool:
        """It shrank likewise."""
        return self.enough and self.ratio < 1 / (1 + self.threshold) and self.high < 1


def change(new: Sequence[float], old: Sequence[float], threshold: float) -> Change:
    """Compare runs with earlier ones; the same runs give the same answer."""
    base = median(old)
    if not base:
        return Change(1.0, 1.0, 1.0, threshold, enough=False)
    chance = random.Random(0)  # noqa: S311 - no secret
    ratios = sorted(_resampled(new, chance) / (_resampled(old, chance) or base) for _ in range(SAMPLES))
    low, high = ratios[int(SAMPLES * OUTSIDE)], ratios[int(SAMPLES * (1 - OUTSIDE)) - 1]
    return Change(median(new) / base, low, high, threshold, min(len(new), len(old)) >= LEAST)


def _resampled(values: Sequence[float], chance: random.Random) -> float:
    return median(chance.choices(values, k=len(values)))


def spread(values: Sequence[float]) -> float:
    """Noise as a share of the median: by the median distance from it, which a single slow run doesn't move."""
    middle = median(values)
    return _NORMAL * median(abs(value - middle) for value in values) / middle if middle else 0.0
