"""The selection policies of the processors' task tables."""

from enum import StrEnum


class Policy(StrEnum):
    """How products are chosen for a period.

    `ValCover` all that are valid over the whole period; of these `LatestValCover` the newest made,
    `LatestValCoverClosest` the one that starts nearest to it, `BestCentredCover` the one that has the period most in
    its middle. `ValIntersect` all that are valid in some of it; of these `LatestValIntersect` the newest made,
    `LatestStartValidity` and `LatestStopValidity` the one that starts or stops last, `LargestOverlap` the one that
    is valid in most of it. Wherever the period is: `LatestValidity` the one that starts last, `LatestValidityClosest`
    the one valid at the middle of the period or nearest to it, `ClosestStartValidity` and `ClosestStopValidity` the one
    whose start or stop is nearest to it. Of equals the newest made.
    """

    COVER = "ValCover"
    LATEST_COVER = "LatestValCover"
    CLOSEST_COVER = "LatestValCoverClosest"
    CENTRED_COVER = "BestCentredCover"
    LATEST_INTERSECT = "LatestValIntersect"
    INTERSECT = "ValIntersect"
    LATEST_START = "LatestStartValidity"
    LATEST_STOP = "LatestStopValidity"
    LARGEST_OVERLAP = "LargestOverlap"
    LATEST = "LatestValidity"
    CLOSEST = "LatestValidityClosest"
    CLOSEST_START = "ClosestStartValidity"
    CLOSEST_STOP = "ClosestStopValidity"


COVERING = (Policy.COVER, Policy.LATEST_COVER, Policy.CLOSEST_COVER, Policy.CENTRED_COVER)
INTERSECTING = (
    *(Policy.INTERSECT, Policy.LATEST_INTERSECT, Policy.LATEST_START, Policy.LATEST_STOP),
    Policy.LARGEST_OVERLAP,
)
MANY = (Policy.COVER, Policy.INTERSECT)
"""What chooses more than one."""
