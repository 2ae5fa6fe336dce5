"""Preparation on real PostgreSQL: jobs made by events, inputs chosen by policies, waits, time-outs, kills."""

from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from tests.services.preparing import (
    AUX,
    ENABLED,
    NOON,
    SLICE,
    Catalogued,
    NoMasks,
    hours_ago,
    inputs,
    job,
    jobs,
    opened,
    orbit,
)

from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.order import Order
from refsys.services.production.shelf import Shelf


def preparation_of(engine: Engine, *chains: str, masks: Any = None) -> Preparation:
    shelf = Shelf({name: ENABLED.chains[name] for name in chains})
    return Preparation(engine, shelf, cast(Masks, masks or NoMasks()), {})


@pytest.fixture
def l1(engine: Engine) -> Catalogued:
    return Catalogued(engine, preparation_of(engine, "s1-l1"))


def fixed(catalogued: Catalogued) -> set[str]:
    """The auxiliary files that do not change."""
    names = {AUX.format(kind) for kind in ("CAL", "INS", "PP1")}
    for name in names:
        catalogued.add(name, "AUXILIARY_FILE")
    return names


def test_a_job_whose_inputs_are_there_goes_on_at_once(engine: Engine, l1: Catalogued) -> None:
    aux = fixed(l1)
    poe = orbit("AUX_POEORB")
    l1.add(poe, "AUXILIARY_FILE")
    acn = SLICE.replace("0SDV", "0NDV"), SLICE.replace("0SDV", "0ADV"), SLICE.replace("0SDV", "0CDV")
    for name in acn:
        l1.add(name, "L0_ACN", attributes={"datatakeID": 7})
    l1.come(SLICE, "L0_SLICE", timeliness="NRT", attributes={"datatakeID": 7, "sliceNumber": 3, "totalSlices": 9})
    found = job(engine)
    assert (found["task_table"], found["state"], found["generation"]) == ("IW_L1", "DISPATCHING", "READY")
    assert inputs(found) == {SLICE, poe, *acn, *aux}
    order = Order.model_validate(found["order"])
    assert order.parameters == {
        "Mission_Id": "S1A",
        "Timeliness_Category": "NRT",
        "Slice_Number": "3",
        "Total_Number_Of_Slices": "9",
    }
    assert order.priority == 100
    assert order.t0_pdgs_date == l1.known[SLICE].trace.station_publication
    assert opened(engine) == []


def test_a_job_says_what_it_waits_for_and_goes_on_when_it_comes(engine: Engine, l1: Catalogued) -> None:
    fixed(l1)
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    hours_ago(engine, 1)
    l1.preparation.examine(job(engine)["id"])
    found = job(engine)
    assert (found["state"], found["generation"]) == ("WAITING", "PRIMARY_CHECK")
    assert [each["input"] for each in found["waits_for"]] == ["orbit"]
    assert found["waits_for"][0]["productTypes"] == ["AUX_POEORB", "AUX_RESORB", "AUX_PREORB", "MPL_ORBPRE"]
    assert "AUX_RESORB of S1A" in found["reason"]
    assert {kind for _, kind in opened(engine)} == {"AUX_POEORB", "AUX_RESORB", "AUX_PREORB", "MPL_ORBPRE"}
    l1.come(orbit("AUX_RESORB", NOON + timedelta(hours=1)), "AUXILIARY_FILE")  # not over the slice
    assert job(engine)["state"] == "WAITING"
    l1.come(orbit("AUX_RESORB"), "AUXILIARY_FILE")
    found = job(engine)
    assert found["state"] == "DISPATCHING"
    assert orbit("AUX_RESORB") in inputs(found)
    assert "without, or with part of: annotations" in found["reason"]


def test_the_first_alternative_is_waited_for_as_long_as_the_class_allows(engine: Engine, l1: Catalogued) -> None:
    fixed(l1)
    l1.add(orbit("AUX_PREORB"), "AUXILIARY_FILE")
    l1.come(SLICE, "L0_SLICE", timeliness="FAST24")
    hours_ago(engine, 15)
    identifier = job(engine)["id"]
    l1.preparation.examine(identifier)
    assert job(engine)["state"] == "WAITING"
    hours_ago(engine, 16.1)
    l1.preparation.examine(identifier)
    assert orbit("AUX_PREORB") in inputs(job(engine))


def test_a_job_ends_when_what_is_mandatory_never_comes(engine: Engine, l1: Catalogued) -> None:
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    hours_ago(engine, 3.1)
    l1.preparation.examine(job(engine)["id"])
    found = job(engine)
    assert (found["state"], found["generation"], found["outcome"]) == ("TERMINATED", "END", "TIMEOUT")
    assert "AUX_CAL of S1A" in found["reason"]
    assert opened(engine) == []


def test_an_event_that_comes_again_makes_no_job(engine: Engine, l1: Catalogued) -> None:
    event = l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    l1.preparation.take(event)
    assert len(jobs(engine)) == 1
