"""What a job needs: periods, waits by timeliness, and what is written down to notice it by."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.services.published import attributes, event

from refsys.services.catalogue.xml import OPEN_END, OPEN_START
from refsys.services.preparation.facts import Facts, facts_of, name_of
from refsys.services.preparation.needs import Need, Period, Subject, give_up_at, needs_of, open_rows
from refsys.services.production.chains import TaskTable
from refsys.services.production.shelf import shipped
from refsys.services.production.states import priority_of

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def table(chain: str, name: str) -> TaskTable:
    return next(each for each in shipped()[chain].task_tables if each.name == name)


def subject(timeliness: str, **changes: Any) -> Subject:
    given = {"product_id": UUID(int=1), "name": "P", "product_type": "IW_RAW__0S", "family": "L0_SLICE"}
    facts = Facts(**(given | {"downlink": NOON, "ingestion": NOON + 600 * SECOND} | changes))
    return Subject("S1A", timeliness, Period(NOON, NOON + 32 * SECOND), NOON + 700 * SECOND, facts)


def need(needs: list[Need], name: str) -> Need:
    return next(each for each in needs if each.name == name)


@pytest.mark.parametrize(
    ("timeliness", "end"),
    [
        ("PT", NOON + 2400 * SECOND),  # half an hour after the ingestion
        ("NRT", NOON + 2400 * SECOND),
        ("FAST24", NOON + 57_600 * SECOND),  # sixteen hours after the downlink
        ("", NOON + 57_600 * SECOND),
    ],
)
def test_orbit_files_are_waited_for_by_timeliness(timeliness: str, end: datetime) -> None:
    orbit = need(needs_of(table("s1-l1", "IW_L1"), subject(timeliness)), "orbit")
    assert orbit.wait_end == end
    assert [each.product_types for each in orbit.alternatives][:2] == [("AUX_POEORB",), ("AUX_RESORB",)]
    assert orbit.alternatives[0].period == Period(NOON - 60 * SECOND, NOON + 92 * SECOND)
    rows = list(open_rows(orbit, "S1A"))
    assert [row["useful"] for row in rows] == [None, end, end, end]
    assert {row["covers"] for row in rows} == {True}


def test_what_must_be_of_the_same_data_take_is() -> None:
    given = subject("NRT", attributes={"datatakeID": 7})
    noise = need(needs_of(table("s1-l1", "IW_L1"), given), "noise")
    assert noise.alternatives[0].same == {"datatakeID": 7}
    (row,) = open_rows(noise, "S1A")
    assert (row["covers"], row["product_type"], row["period"].lower) == (False, "IW_RAW__0N", NOON)


def test_what_may_be_from_any_time_is_noticed_at_any_time() -> None:
    (row,) = open_rows(need(needs_of(table("s1-l2", "IW_L2"), subject("NRT")), "wind"), "S1A")
    assert (row["period"].lower, row["period"].upper, row["covers"]) == (None, None, False)


def test_margins_end_where_times_end() -> None:
    assert Period(OPEN_START, OPEN_END).wider(1e9, 1e9).start.year == 1
    assert Period(NOON, OPEN_END).wider(0, 1e9).stop.year == 9999


def test_a_job_gives_up_by_its_class() -> None:
    assert give_up_at(table("s1-l1", "IW_L1"), subject("NRT")) == NOON + 11_500 * SECOND
    assert give_up_at(table("s1-l1", "IW_L1"), subject("FAST24")) == NOON + 87_100 * SECOND


def test_a_session_came_down_when_its_name_says() -> None:
    session = "S1A_20261101110000050000"
    key = f"{session}/ch_1/DCS_01_{session}_ch1_DSIB.xml"
    given = event(key, product_family="EDRS_SESSION", mission_id="S1", satellite_id="S1A")
    facts = facts_of(given, name_of(given))
    assert (facts.key, facts.downlink) == (session, NOON - timedelta(hours=1))
    needs = needs_of(table("s1-aiop", "S1_AIOP"), Subject("S1A", "NRT", Period(NOON, NOON), NOON, facts))
    rows = list(open_rows(needs[0], "S1A"))
    assert {(row["product_type"], row["key"]) for row in rows} == {("DSIB", session), ("DSDB", session)}


def test_other_products_came_down_when_all_they_are_made_of_was_there() -> None:
    name = "S1A_IW_RAW__0SDV_20261101T120000_20261101T120032_050000_060000_AB12.SAFE"
    given = event(
        name,
        product_family="L0_SLICE",
        mission_id="S1",
        satellite_id="S1A",
        attributes=attributes(datatakeID=7, sliceNumber=2),
        additional_fields={"t0PdgsDate": "2026-11-01T12:30:00.000000Z"},
    )
    facts = facts_of(given, name_of(given))
    assert (facts.key, facts.downlink) == ("S1A-7", NOON + timedelta(minutes=30))
    assert facts.attributes == {"datatakeID": 7, "sliceNumber": 2}


def test_priorities() -> None:
    assert [priority_of(each) for each in ("PT", "NRT", "STC", "FAST24", "NTC", "")] == [100, 100, 500, 500, 900, 900]
