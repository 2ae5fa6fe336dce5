"""Policies of task tables on real PostgreSQL, against what their definitions say of random products and periods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from tests.services.preparing import ENABLED, NOON, Catalogued, NoMasks, orbit, stamp

from refsys.services.catalogue.tables import Product
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.search.policies import Policy
from refsys.services.search.selection import selected

COUNT, PERIODS = 60, 40


@dataclass(frozen=True)
class Valid:
    """A product as its policy sees it."""

    name: str
    start: datetime
    stop: datetime
    made: datetime

    def overlap(self, start: datetime, stop: datetime) -> timedelta:
        return min(self.stop, stop) - max(self.start, start)

    def away(self, moment: datetime) -> timedelta:
        return max(self.start - moment, moment - self.stop, timedelta(0))


def best(policy: Policy, all_: Sequence[Valid], start: datetime, stop: datetime) -> set[str]:
    """The products that the definition allows; several, where they are as good."""
    covering = [each for each in all_ if each.start <= start and each.stop >= stop]
    crossing = [each for each in all_ if each.start <= stop and each.stop >= start]
    middle = start + (stop - start) / 2
    if policy in (Policy.COVER, Policy.INTERSECT):
        return {each.name for each in (covering if policy is Policy.COVER else crossing)}
    choices: dict[Policy, tuple[Sequence[Valid], Callable[[Valid], Any]]] = {
        Policy.LATEST_COVER: (covering, lambda each: each.made),
        Policy.CLOSEST_COVER: (covering, lambda each: each.start),
        Policy.CENTRED_COVER: (covering, lambda each: min(start - each.start, each.stop - stop)),
        Policy.LATEST_INTERSECT: (crossing, lambda each: each.made),
        Policy.LATEST_START: (crossing, lambda each: each.start),
        Policy.LATEST_STOP: (crossing, lambda each: each.stop),
        Policy.LARGEST_OVERLAP: (crossing, lambda each: each.overlap(start, stop)),
        Policy.LATEST: (all_, lambda each: each.start),
        Policy.CLOSEST: (all_, lambda each: -each.away(middle)),
        Policy.CLOSEST_START: (all_, lambda each: -abs(each.start - middle)),
        Policy.CLOSEST_STOP: (all_, lambda each: -abs(each.stop - middle)),
    }
    found, worth = choices[policy]
    most = max((worth(each) for each in found), default=None)
    return {each.name for each in found if worth(each) == most}


def test_policies_choose_as_they_are_defined(engine: Engine) -> None:
    random = Random(5)  # noqa: S311
    catalogued = Catalogued(engine, Preparation(engine, ENABLED, cast(Masks, NoMasks()), {}))
    known = []
    for number in range(COUNT):
        start = NOON + timedelta(minutes=random.randrange(0, 2000))
        stop = start + timedelta(minutes=random.randrange(1, 600))
        made = NOON + timedelta(minutes=number)
        name = orbit("AUX_RESORB", start, stop).replace(f"_OPOD_{stamp(NOON)}", f"_OPOD_{stamp(made)}")
        catalogued.add(name, "AUXILIARY_FILE")
        known.append(Valid(name, start, stop, made))
    seen = set()
    with engine.connect() as connection:
        for _ in range(PERIODS):
            start = NOON + timedelta(minutes=random.randrange(-200, 2500))
            stop = start + timedelta(minutes=random.randrange(0, 120))
            for policy in Policy:
                statement = selected(policy, start, stop, [Product.product_type == "AUX_RESORB"])
                names = {row["name"] for row in connection.execute(statement).mappings()}
                expected = best(policy, known, start, stop)
                if policy in (Policy.COVER, Policy.INTERSECT):
                    assert names == expected, policy
                else:
                    assert names <= expected, policy
                    assert bool(names) == bool(expected), policy
                seen.add((policy, bool(names)))
    assert {policy for policy, found in seen if found} == set(Policy)


@pytest.mark.parametrize("policy", Policy)
def test_a_policy_finds_nothing_where_nothing_is(engine: Engine, policy: Policy) -> None:
    with engine.connect() as connection:
        assert connection.execute(selected(policy, NOON, NOON, [])).all() == []
