"""Preparation on real PostgreSQL: jobs made by events, inputs chosen by policies, waits, time-outs, kills."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest
from sqlalchemy import Engine, event, insert
from tests.means.logged import Lines
from tests.means.trace_format import pairs, reports
from tests.services.conftest import Bus, wait_until
from tests.services.kept import operations_api
from tests.services.preparing import (
    AUX,
    ENABLED,
    NOON,
    SLICE,
    SQUARE,
    Catalogued,
    NoMasks,
    hours_ago,
    inputs,
    job,
    jobs,
    opened,
    orbit,
    stamp,
)

from refsys.services.common.bus import DeliveryError, Producer
from refsys.services.common.messages import CATALOG_EVENT, EXECUTION_JOB
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.ingestion.stations.sampling import Window
from refsys.services.preparation import ledger, service
from refsys.services.preparation.chains import Chains
from refsys.services.preparation.clock import Clock
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import AT_ONCE, Preparation
from refsys.services.production.order import Order
from refsys.services.production.shelf import SHIPPED, Shelf
from refsys.services.production.tables import AddedChain

pytest_plugins = ("tests.means.logged",)


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
    assert "AUX_POEORB" in job(engine)["reason"]
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


def test_a_clock_that_jumps_loses_no_job_and_ends_none_too_early(engine: Engine, l1: Catalogued) -> None:
    """All know one clock, PostgreSQL's; what is written down is then in its future, or long ago."""
    fixed(l1)
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    clock, producer = clock_of(engine, l1.preparation)
    hours_ago(engine, -2)  # it was set back
    clock.round()
    found = job(engine)
    assert found["state"] == "WAITING" and "orbit" in {each["input"] for each in found["waits_for"]}
    with engine.begin() as connection:
        assert ledger.overdue_seconds(connection) == {"S1": 0.0}
        assert (ledger.seconds_to_next(connection) or 0) > 3600
    assert timedelta(minutes=1) >= ledger.LONGEST_SLEEP, "who sleeps by another clock looks soon"
    l1.come(orbit("AUX_RESORB"), "AUXILIARY_FILE")
    assert job(engine)["state"] == "WAITING", "what is optional has its time still"
    hours_ago(engine, 2)  # and forward again: what time decides is decided at the next look
    clock.round()
    assert (job(engine)["state"], len(producer.sent)) == ("GENERATING", 1)
    clock.round()
    assert len(producer.sent) == 1


def test_an_event_that_comes_again_makes_no_job(engine: Engine, l1: Catalogued) -> None:
    event = l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    l1.preparation.take(event)
    assert len(jobs(engine)) == 1


SESSION = "S1A_20261101110000050000"


def session_file(channel: int, name: str) -> str:
    return f"{SESSION}/ch_{channel}/DCS_01_{SESSION}_ch{channel}_{name}"


def test_a_session_is_prepared_when_both_channels_are_complete(engine: Engine) -> None:
    catalogued = Catalogued(engine, preparation_of(engine, "s1-aiop"))
    given = {"satellite": "S1A", "mission": "S1", "session_id": SESSION, "start": NOON, "stop": NOON}
    files = [session_file(channel, f"DSDB_0000{number}.raw") for channel in (1, 2) for number in (1, 2)]
    blocks = {channel: session_file(channel, "DSIB.xml") for channel in (1, 2)}
    steps = [files[0], blocks[1], files[1], files[2], blocks[2]]
    for name in steps:
        channel = 1 if "_ch1_" in name else 2
        raw = [PurePosixPath(each).name for each in files if f"_ch{channel}_" in each]
        details = {"channelId": channel, "rawNames": raw} if name.endswith(".xml") else {"channelId": channel}
        catalogued.come(name, "EDRS_SESSION", details=details, **given)
    found = job(engine)
    assert (found["state"], found["timeliness"], found["trigger"]) == ("WAITING", "NRT", f"session {SESSION}")
    assert "1 blocks of channel 2, the first DCS_01" in found["reason"]
    catalogued.come(files[3], "EDRS_SESSION", details={"channelId": 2}, **given)
    found = job(engine)
    assert found["state"] == "DISPATCHING"
    assert inputs(found) == {PurePosixPath(each).name for each in (*files, *blocks.values())}
    assert found["order"]["parameters"] == {"Processing_Station": "MTI_", "Satellite": "S1A"}


def test_a_session_that_stays_incomplete_goes_on_with_what_there_is(engine: Engine) -> None:
    catalogued = Catalogued(engine, preparation_of(engine, "s1-aiop"))
    raw = session_file(1, "DSDB_00001.raw")
    details = {"channelId": 1, "rawNames": [PurePosixPath(raw).name]}
    given = {"satellite": "S1A", "mission": "S1", "session_id": SESSION, "start": NOON, "stop": NOON}
    catalogued.come(session_file(1, "DSIB.xml"), "EDRS_SESSION", details=details, **given)
    hours_ago(engine, 2.9)
    identifier = job(engine)["id"]
    catalogued.preparation.examine(identifier)
    assert job(engine)["state"] == "WAITING"
    hours_ago(engine, 3.1)
    catalogued.preparation.examine(identifier)
    found = job(engine)
    assert found["state"] == "DISPATCHING"
    assert "part of: trigger (session" in found["reason"]


def segment(begin: int, end: int, polarisation: str = "DV") -> str:
    start, stop = NOON + timedelta(seconds=begin), NOON + timedelta(seconds=end)
    return f"S1A_IW_RAW__0S{polarisation}_{stamp(start)}_{stamp(stop)}_050000_00000A_{begin:04d}.SAFE"


def test_a_data_take_is_prepared_when_its_segments_follow_each_other(engine: Engine) -> None:
    catalogued = Catalogued(engine, preparation_of(engine, "s1-asp"))
    catalogued.add(orbit("AUX_RESORB"), "AUXILIARY_FILE")

    def come(begin: int, end: int, part: str, timeliness: str = "FAST24") -> None:
        attributes = {"datatakeID": 10, "productConsolidation": part}
        catalogued.come(segment(begin, end), "L0_SEGMENT", timeliness=timeliness, attributes=attributes)

    come(40, 80, "END")
    assert "the first segment" in job(engine)["reason"]
    come(0, 20, "START")
    assert "a segment after 2026-11-01T12:00:20Z" in job(engine)["reason"]
    assert job(engine)["timeliness"] == "FAST24"
    come(20, 40, "PARTIAL", "NRT")
    hours_ago(engine, 8.1)  # annotations, calibration and noise are optional
    catalogued.preparation.examine(job(engine)["id"])
    found = job(engine)
    assert (found["state"], found["timeliness"], found["priority"]) == ("DISPATCHING", "NRT", 100)
    assert (found["start_time"], found["stop_time"]) == (NOON, NOON + timedelta(seconds=80))
    parameters = found["order"]["parameters"]
    assert (parameters["Slice_Length"], parameters["Slice_Overlap"]) == ("25", "7.4")
    assert parameters["Total_Number_Of_Slices"] == "3"
    assert len(inputs(found)) == 4


class Percent:
    """A mask that covers so much of everything."""

    def __init__(self, percent: float) -> None:
        self._percent = percent

    def percent(self, footprint: str, mask: Mapping[str, Any]) -> float:
        assert mask["product_type"] == "MSK__OCEAN"
        return self._percent


@pytest.mark.parametrize(("percent", "state"), [(0.0, "TERMINATED"), (0.1, "DISPATCHING")])
def test_nothing_is_made_of_what_lies_beside_the_mask(engine: Engine, percent: float, state: str) -> None:
    catalogued = Catalogued(engine, preparation_of(engine, "s1-l2", masks=Percent(percent)))
    for kind in ("PP2", "SCS", "WND", "WAV", "ICE"):
        catalogued.add(AUX.format(kind), "AUXILIARY_FILE")
    catalogued.add("S1__OPER_MSK__OCEAN_V20200101T000000_G20200101T000000.EOF", "AUXILIARY_FILE")
    name = SLICE.replace("IW_RAW__0SDV", "IW_SLC__1SDV")
    catalogued.come(name, "L1_SLICE", timeliness="NRT", footprint=json.dumps(SQUARE))
    found = job(engine)
    assert found["state"] == state
    if state == "TERMINATED":
        assert found["outcome"] == "OK"
        assert f"0 % of {name} lie over S1__OPER_MSK__OCEAN" in found["reason"]


def test_sampling_leaves_out_what_came_in_at_another_time(engine: Engine) -> None:
    windows = {"S1": [Window(start="0 12 * * 0", minutes=60)]}
    catalogued = Catalogued(engine, Preparation(engine, ENABLED, cast(Masks, NoMasks()), cast(Any, windows)))
    for hour, count in ((11, 0), (12, 1)):  # a Sunday
        at = (NOON + timedelta(hours=hour - 12)).isoformat()
        trace = {"seen": at, "stored": at, "station_publication": at}
        catalogued.come(SLICE.replace("AB12", f"AB{hour}"), "L0_SLICE", timeliness="NRT", trace=trace)
        assert len(jobs(engine)) == count


def test_an_event_touches_only_jobs_that_can_use_it(
    engine: Engine, l1: Catalogued, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed(l1)
    l1.come(SLICE, "L0_SLICE", timeliness="FAST24", attributes={"datatakeID": 7})
    looked: list[Sequence[int] | None] = []
    monkeypatch.setattr(l1.preparation, "examine", lambda _, inputs=None: looked.append(inputs))
    l1.come(orbit("AUX_RESORB"), "AUXILIARY_FILE")  # as a precise orbit is waited for
    l1.come(orbit("AUX_POEORB").replace("S1A", "S1B"), "AUXILIARY_FILE")
    l1.come(orbit("AUX_POEORB", NOON + timedelta(hours=1)), "AUXILIARY_FILE")
    l1.come(AUX.format("WND"), "AUXILIARY_FILE")
    assert looked == []
    l1.come(orbit("AUX_POEORB"), "AUXILIARY_FILE")
    l1.come(SLICE.replace("0SDV", "0NDV"), "L0_ACN")
    assert looked == [[4], [3]]


def test_an_event_that_many_jobs_can_use_has_them_looked_at_by_priority(engine: Engine, l1: Catalogued) -> None:
    fixed(l1)
    count = AT_ONCE + 5
    for number in range(count):
        start = NOON + timedelta(seconds=number * 25)
        name = f"S1A_IW_RAW__0SDV_{stamp(start)}_{stamp(start + timedelta(seconds=32))}_050000_060000_{number:04X}.SAFE"
        l1.come(name, "L0_SLICE", timeliness="NRT" if number % 2 else "FAST24")
    hours_ago(engine, 2.5)
    with engine.begin() as connection:
        for identifier in ledger.due(connection, 1000):
            l1.preparation.examine(identifier)
        assert ledger.due(connection, 1000) == []
    l1.come(orbit("AUX_POEORB"), "AUXILIARY_FILE")
    with engine.begin() as connection:
        due = ledger.due(connection, 1000)
    assert len(due) == count
    priorities = {each["id"]: each["priority"] for each in jobs(engine)}
    assert [priorities[each] for each in due] == sorted(priorities.values())
    for identifier in due:
        l1.preparation.examine(identifier)
    assert {each["state"] for each in jobs(engine)} == {"DISPATCHING"}


def test_a_job_whose_task_table_is_gone_ends_with_the_reason(engine: Engine, l1: Catalogued) -> None:
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    l1.preparation.shelf = Shelf({})
    l1.preparation.examine(job(engine)["id"])
    found = job(engine)
    assert (found["outcome"], "add the chain again" in found["reason"]) == ("NOK", True)


def test_who_is_killed_at_any_statement_makes_the_job_once(engine: Engine, l1: Catalogued) -> None:
    """Each statement of taking an event is the last one; then the event comes again, and the clock looks."""
    fixed(l1)
    l1.add(orbit("AUX_POEORB"), "AUXILIARY_FILE")
    left = 0

    def die(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", die)
    clock, producer = clock_of(engine, l1.preparation)
    number, died = 0, True
    while died:
        number += 1
        name = SLICE.replace("AB12", f"{number:04X}")
        added = l1.add(name, "L0_SLICE", timeliness="NRT")
        left = number
        died = False
        try:
            l1.preparation.take(added)
        except KeyboardInterrupt:
            died = True
        left = 0
        if number % 2:
            l1.preparation.take(added)
        clock.round()
        hours_ago(engine, 2)
        clock.round()
    event.remove(engine, "before_cursor_execute", die)
    # Whoever dies before there is a job, and hears nothing again, makes none: Kafka tells again what was not committed.
    found = jobs(engine)
    assert number > 15
    assert {each["state"] for each in found} == {"GENERATING"}
    assert sorted(producer.sent) == sorted(str(each["id"]) for each in found)
    assert opened(engine) == []


def test_who_is_killed_while_it_sends_sends_again(engine: Engine, l1: Catalogued) -> None:
    fixed(l1)
    l1.add(orbit("AUX_POEORB"), "AUXILIARY_FILE")
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    hours_ago(engine, 2)
    l1.preparation.examine(job(engine)["id"])
    clock, producer = clock_of(engine, l1.preparation)
    producer.fails = True
    with pytest.raises(DeliveryError):
        clock.round()
    assert job(engine)["state"] == "DISPATCHING"
    producer.fails = False
    clock.round()
    clock.round()
    assert len(producer.sent) == 2
    assert (job(engine)["state"], job(engine)["generation"]) == ("GENERATING", "SENT")


class Sending:
    """A producer that keeps the keys of what it sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fails = False

    def send(self, topic: str, message: Order, key: str, headers: object = None) -> None:
        assert topic == EXECUTION_JOB
        self.sent.append(key)

    def flush(self) -> None:
        if self.fails:
            raise DeliveryError("no broker")


def clock_of(engine: Engine, preparation: Preparation) -> tuple[Clock, Sending]:
    producer = Sending()
    return Clock(engine, preparation, cast(Producer, producer), lambda: None), producer


def test_events_become_orders_on_kafka_and_timers_work(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
    in_thread: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> None:
    catalogued = Catalogued(engine, preparation_of(engine, "s1-l1"))
    fixed(catalogued)
    document = SHIPPED.joinpath("s1-l1.yaml").read_text().replace("enabled: false", "enabled: true")
    with engine.begin() as connection:
        connection.execute(insert(AddedChain).values(name="s1-l1", document=document, operator_name="olga"))
    events = [catalogued.add(SLICE, "L0_SLICE", timeliness="NRT")]
    events.append(catalogued.add(orbit("AUX_POEORB"), "AUXILIARY_FILE"))
    running = new_process("preparation")
    producer = Producer(kafka_settings("catalogue"), "catalogue")
    with in_thread(lambda: service.serve(running, kafka_settings("preparation"), engine, store, {})):
        for each in events:
            producer.send(CATALOG_EVENT, each, each.key())
        producer.flush()
        wait_until(lambda: len(jobs(engine)) == 1, what="job made")
        wait_until(lambda: job(engine)["generation"] == "PRIMARY_CHECK", what="inputs looked for")
        hours_ago(engine, 2)  # what is optional has had its time
        with engine.begin() as connection:
            ledger.notify(connection)
        (sent,) = bus.read(EXECUTION_JOB, 1)
        wait_until(lambda: job(engine)["state"] == "GENERATING", what="job sent")
        running.stop.set()
    order = Order.model_validate_json(sent)
    assert (order.job_id, order.key()) == (job(engine)["id"], str(job(engine)["id"]))
    assert SLICE in {each.name for each in order.inputs}


def test_operators_see_and_control_jobs_and_add_chains(engine: Engine, l1: Catalogued, tmp_path: Path) -> None:
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    identifier = str(job(engine)["id"])
    with operations_api(engine, tmp_path) as api:
        root = "/operations/v1/production"
        (shown,) = api.get(f"{root}/jobs", params={"state": "WAITING", "waitsFor": "AUX_CAL"}).json()
        assert (shown["id"], shown["taskTable"], shown["attempt"]) == (identifier, "IW_L1", 0)
        assert {each["input"] for each in shown["waitsFor"]} >= {"orbit", "calibration", "instrument"}
        assert api.get(f"{root}/jobs", params={"state": "TERMINATED"}).json() == []

        def control(action: str, *ids: str) -> list[dict[str, Any]]:
            answer = api.post(f"{root}/jobs/control", json={"ids": ids, "action": action})
            assert answer.status_code == 200
            results: list[dict[str, Any]] = answer.json()["results"]
            return results

        assert control("restart", identifier) == [{"id": identifier, "done": True}]  # is looked at
        assert control("terminate", identifier) == [{"id": identifier, "done": True}]
        refused = {"id": identifier, "done": False, "reason": f"job {identifier} has ended"}
        assert control("terminate", identifier, identifier) == [refused]
        assert opened(engine) == []
        (shown,) = api.get(f"{root}/jobs", params={"outcome": "CANCELLED"}).json()
        assert shown["reason"] == "is cancelled by olga"
        missing = "00000000-0000-4000-8000-000000000000"
        assert [each["done"] for each in control("restart", identifier, missing)] == [True, False]
        (shown,) = api.get(f"{root}/jobs").json()
        assert (shown["attempt"], shown["jobState"], shown["outcome"]) == (1, "queued_active", None)
        alone = {"order": None, "products": None, "measures": None}
        assert api.get(f"{root}/jobs/{identifier}").json() == shown | alone
        assert api.post(f"{root}/jobs", json={"order": {}}).status_code == 400
        assert api.post(f"{root}/jobs", json={"chain": "x", "taskTable": "x", "product": "x"}).status_code == 409
        assert api.get(f"{root}/jobs/count").json()["count"] == 1
        assert api.get(f"{root}/jobs/{missing}").status_code == 404
        l1.preparation.examine(job(engine)["id"])
        assert job(engine)["generation"] == "PRIMARY_CHECK"

        assert api.post(f"{root}/chains", json={"document": "name: x"}).status_code == 400
        text = SHIPPED.joinpath("s2-l2.yaml").read_text().replace("enabled: false", "enabled: true")
        assert api.post(f"{root}/chains", json={"document": text}).status_code == 201
        listed = {each["name"]: each for each in api.get(f"{root}/chains").json()}
        assert (listed["s2-l2"]["enabled"], listed["s2-l2"]["origin"], listed["s2-l2"]["addedBy"]) == (
            True,
            "added",
            "olga",
        )
        assert (listed["s1-l1"]["origin"], listed["s1-l1"]["openJobs"]) == ("shipped", 1)
        assert Chains(engine).changed().chains["s2-l2"].enabled  # type: ignore[union-attr]
        assert api.delete(f"{root}/chains/s2-l2").status_code == 204
        assert api.delete(f"{root}/chains/s2-l2").status_code == 404


def test_steps_are_told_in_the_form_of_the_trace_interface(engine: Engine, l1: Catalogued, lines: Lines) -> None:
    fixed(l1)
    l1.add(orbit("AUX_POEORB"), "AUXILIARY_FILE")
    l1.come(SLICE, "L0_SLICE", timeliness="NRT")
    hours_ago(engine, 2)
    l1.preparation.examine(job(engine)["id"])
    found = pairs(reports(lines()))
    assert [end.name for _, end in found] == ["TaskTableLookup", "ProductionTrigger", "JobGenerator"]
