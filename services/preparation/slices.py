"""Cutting a data take into slices."""

import math
from datetime import timedelta

from refsys.services.preparation.needs import Period
from refsys.services.production.chains import Slices


def cut(period: Period, slices: Slices) -> list[Period]:
    """The slices of a data take: each as long as they are long, and the overlap with the next one.

    What is left at the end and is not longer than the overlap belongs to the last slice. Without a length there is
    one slice.
    """
    length, overlap = slices.length_seconds, slices.overlap_seconds
    if not length:
        return [period]
    lasts = (period.stop - period.start).total_seconds()
    count = max(1, math.ceil((lasts - 2 * overlap) / length)) if lasts > length + overlap else 1
    found = []
    for number in range(count):
        start = period.start + timedelta(seconds=number * length)
        stop = period.stop if number == count - 1 else start + timedelta(seconds=length + overlap)
        found.append(Period(start, stop))
    return found


def parameters(period: Period, slices: Slices) -> dict[str, str]:
    """What the processor is told of the slices of a data take."""
    found = cut(period, slices)
    return {
        "Slicing_Flag": "TRUE" if len(found) > 1 else "FALSE",
        "Slice_Length": f"{slices.length_seconds:g}",
        "Slice_Overlap": f"{slices.overlap_seconds:g}",
        "Total_Number_Of_Slices": str(len(found)),
        "Slice_Times": " ".join(f"{_time(each.start)}/{_time(each.stop)}" for each in found),
    }


def _time(moment: object) -> str:
    return f"{moment:%Y%m%dT%H%M%S.%f}"
