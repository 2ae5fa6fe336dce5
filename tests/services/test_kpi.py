"""KPIs on real PostgreSQL and Kafka: from the services' REPORT lines to tables, figures and the operators' API."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer as KafkaProducer
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from sqlalchemy import Engine, Table, func, select
from sqlalchemy import event as engine_event
from sqlalchemy.exc import OperationalError
from tests.means.generator import generate
from tests.means.issuer import bearer
from tests.means.logged import Lines
from tests.means.station import Faults
from tests.means.station import Station as Means
from tests.means.trace_format import pairs, reports
from tests.services.conftest import wait_until
from tests.services.ingesting import Ingestion
from tests.services.kept import keep, name_of, operations_api
from tests.services.published import event
from tests.services.test_ingestion import station_of

from refsys.services.catalogue.service import Catalogue
from refsys.services.common import batches, logs
from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.database import open_database
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, CatalogEvent, CatalogJob, utc_now
from refsys.services.common.process import Process
from refsys.services.common.reports import published
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, KpiSettings, LifecycleSettings, load
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.publisher import publish
from refsys.services.kpi import service, sweep
from refsys.services.kpi.facts import Facts
from refsys.services.kpi.ledger import forget_old
from refsys.services.kpi.lines import read
from refsys.services.kpi.tables import external_input, processing, product
from refsys.services.kpi.timeliness import load_limits
from refsys.services.lifecycle.policies import load_policies
from refsys.services.lifecycle.record import record as record_lifecycle

pytest_plugins = ("tests.services.ingesting", "tests.means.logged")

InThread = Callable[[Callable[[], None]], AbstractContextManager[None]]
Settings = Callable[[str], KafkaSettings]
ROOT = "/operations/v1/kpi"
LIMITS = load_limits(load(KpiSettings).timeliness_file)
S1 = "S1A_IW_RAW__0SDV_20261101T110000_20261101T1100{:02}_050000_060000_{}.SAFE"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def record(line: str) -> bytes:
    """A line as the collector of a node sends it."""
    fields = {"source": "container", "program": "p", "namespace": "processing", "message": line}
    return json.dumps(fields, separators=(", ", ":")).encode()


def send(settings: KafkaSettings, texts: Sequence[str]) -> None:
    producer = KafkaProducer(kafka_options(settings, "log-collector"))
    for text in texts:
        producer.produce("logs-processing", record(text))
    assert producer.flush(30) == 0


def save(engine: Engine, texts: Sequence[str]) -> None:
    facts = Facts(LIMITS)
    for text in texts:
        if line := read(record(text)):
            facts.add(line)
    service.save(engine, facts)


def rows(engine: Engine, table: Table) -> list[Any]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def names_of(engine: Engine, table: Table) -> set[str]:
    return {row["filename"] for row in rows(engine, table)}


def count(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def trace_of(name: str, delay: timedelta, moment: datetime = NOON, **changes: Any) -> None:
    """The lines of a product that is published so long after its data were there."""
    given = event(name, **({"product_family": "L0_SLICE", "timeliness": "NRT", "station_name": "MTI_"} | changes))
    trace = given.trace.model_copy(
        update=dict.fromkeys(("station_publication", "seen", "stored", "catalogued"), moment)
    )
    with logs.task("PripWorker", chain="DISTRIBUTION", mission="S1", satellite="S1A", filename=name) as task:
        task.output = published(given.model_copy(update={"trace": trace}), moment + delay)


def test_every_step_from_the_station_to_the_tables(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    engine: Engine,
    store: ObjectStore,
    ingestion: Callable[..., Ingestion],
    kafka_settings: Settings,
    new_process: Callable[[str], Process],
    in_thread: InThread,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "station"
    folder.mkdir()
    names = [path.name for path in generate(folder, 6, size=5000) if "_AUX_OBMEMC_" not in path.name]
    with Means(folder, faults=Faults()) as means:
        chain = ingestion(station_of(means, tmp_path))
        assert chain.poll() == len(names)
        with chain.run_worker():
            wait_until(lambda: chain.count("STORED") == len(names), what="all stored")
    catalogue = Catalogue(engine, store, Producer(kafka_settings("catalogue"), "catalogue"))
    policies = load_policies(load(LifecycleSettings).policies_file)
    for text in chain.bus.read(CATALOG_JOB, len(names)):
        catalogue.handle(CatalogJob.model_validate_json(text))
    catalogue.producer.flush()
    events = [CatalogEvent.model_validate_json(text) for text in chain.bus.read(CATALOG_EVENT, len(names))]
    for each in events:
        publish(engine, each)
        record_lifecycle(engine, policies, each)
    with pytest.raises(RejectedError):
        publish(engine, events[0].model_copy(update={"product_size_byte": 1}))
    said = lines()
    found = pairs(reports(said))
    assert Counter(end.name for _, end in found) == {
        "IngestionTrigger": 1,
        "IngestionWorker": len(names),
        "MetadataExtraction": len(names),
        "PripWorker": len(names) + 1,
        "DataLifecycleWorker": len(names),
    }
    assert Counter(end.status for _, end in found) == {"OK": len(found) - 1, "NOK": 1}

    shuffled = [*said, *said]
    Random(1).shuffle(shuffled)  # noqa: S311
    send(kafka_settings("log-collector"), ["no line of ours", *shuffled])
    running = new_process("kpi")
    with in_thread(partial(service.serve, running, kafka_settings("kpi"), engine, LIMITS)):
        wait_until(lambda: {row["uid"] for row in rows(engine, processing)} >= {end.uid for _, end in found})
        wait_until(lambda: names_of(engine, product) >= set(names), what="all products are in the table")
        running.stop.set()
    monkeypatch.setattr(sweep, "SETTLE", timedelta(0))
    assert not [row for row in rows(engine, processing) if row["begin_date"] is None or row["end_date"] is None]
    inputs = rows(engine, external_input)
    assert {row["filename"] for row in inputs} == set(names)
    for row in inputs:
        dates = [row[f"{name}_date"] for name in ("pickup_point_seen", "ingestion", "catalog_storage", "prip_storage")]
        assert dates == sorted(dates)
        assert row["kind"] == "aux_data"
    assert {row["timeliness_name"] for row in rows(engine, product)} == {None}, "auxiliary data has no limit"
    assert service.sweep(engine, LIMITS, timedelta(days=1)) == 0, "lines told all"


def test_nothing_is_lost_while_the_database_is_away(  # noqa: PLR0917  # fixtures
    engine: Engine,
    database: DatabaseSettings,
    kafka_settings: Settings,
    new_process: Callable[[str], Process],
    in_thread: InThread,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "RETRY_SECONDS", 0.1)
    names = {S1.format(number, "AAAA") for number in range(20)}
    for name in names:
        trace_of(name, timedelta(minutes=1))
    send(kafka_settings("log-collector"), lines())
    flaky, failures = open_database(database, "tests"), iter(range(5))

    @engine_event.listens_for(flaky, "do_connect")
    def _connect(*_: object) -> None:
        if next(failures, None) is not None:
            raise OperationalError("connect", {}, Exception("the database is away"))

    running = new_process("kpi")
    with in_thread(partial(service.serve, running, kafka_settings("kpi"), flaky, LIMITS)):
        wait_until(lambda: names_of(engine, product) >= names, what="all products are in the table")
        running.stop.set()
    assert next(failures, None) is None
    flaky.dispose()


def test_what_no_line_told_is_found(
    engine: Engine,
    store: ObjectStore,
    tmp_path: Path,
    ingestion: Callable[..., Ingestion],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep, "SETTLE", timedelta(0))
    kept = keep(engine, store, name_of(1))
    folder = tmp_path / "station"
    folder.mkdir()
    names = [path.name for path in generate(folder, 3) if "_AUX_OBMEMC_" not in path.name]
    with Means(folder) as means:
        assert ingestion(station_of(means, tmp_path)).poll() == len(names)
    assert service.sweep(engine, LIMITS, timedelta(days=1)) == 1 + len(names)
    (row,) = rows(engine, product)
    assert (row["id"], row["filename"], row["family"], row["station"]) == (
        kept.product_id, kept.key_object_storage, kept.product_family, kept.station_name
    )  # fmt: skip
    waiting = {each["filename"]: each["catalog_storage_date"] for each in rows(engine, external_input)}
    assert waiting == {**dict.fromkeys(names), kept.key_object_storage: kept.trace.catalogued}
    assert service.sweep(engine, LIMITS, timedelta(days=1)) == 0


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_metrics_count_each_product_once(engine: Engine, lines: Lines) -> None:
    names = [S1.format(number, "AAAA") for number in range(3)]
    trace_of(names[0], timedelta(hours=1))
    trace_of(names[1], timedelta(hours=4))
    trace_of(names[2], timedelta(hours=5))
    said = lines()
    late = partial(sample, "refsys_products_late_total", mission="S1", timeliness="S1_NRT")
    total = partial(sample, "refsys_product_step_seconds_count", mission="S1", step="total")
    before = late(), total()
    for _ in range(3):
        save(engine, said)
    assert (late() - before[0], total() - before[1]) == (2, 3)


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    with operations_api(engine, tmp_path) as client:
        yield client


def test_figures_of_a_day_and_a_month(engine: Engine, lines: Lines, api: TestClient) -> None:
    for number, hours in enumerate((1, 2, 4, 30, 55, 80)):
        trace_of(S1.format(number, "AAAA"), timedelta(hours=hours))
    trace_of(S1.format(0, "BBBB"), timedelta(hours=2))  # made again
    with logs.task("IngestionWorker", chain="INGESTION", mission="S1", filename="lost.EOF", station="MTI_",
                   family="AUXILIARY_FILE") as task:  # fmt: skip
        task.status, task.error_code = "NOK", 1
        task.output = {"pickup_point_seen": NOON, "pickup_point_available": NOON}
    save(engine, lines())
    day = api.get(f"{ROOT}/day", params={"day": "2026-11-01"}).json()
    by_level = {row["level"]: row for row in day["value"]}
    assert by_level["AUX"] | {"expected": 1, "missing": 1, "arrived": 0, "completeness": 0.0} == by_level["AUX"]
    slices = by_level["L0"]
    assert (slices["published"], slices["limited"], slices["late"], slices["duplicates"]) == (4, 4, 1, 1)
    assert (slices["expected"], slices["arrived"], slices["timeliness"]) == (7, 7, 75.0)
    month = api.get(f"{ROOT}/month", params={"month": "2026-11"}).json()
    bands = {"published": 7, "late": 4, "lateOneDay": 3, "lateTwoDays": 2, "lateThreeDays": 1}
    assert month["total"] | bands == month["total"]
    assert [row["level"] for row in month["delays"]] == ["L0"]
    assert month["delays"][0]["maxSeconds"] == 80 * 3600
    assert {row["name"] for row in api.get(f"{ROOT}/day").json()["tasks"]} == {"PripWorker", "IngestionWorker"}
    between = {"since": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z"}
    late = api.get(f"{ROOT}/late", params=between).json()
    assert [row["lateBySeconds"] / 3600 for row in late] == [77, 52, 27, 1]
    assert [row["filename"] for row in api.get(f"{ROOT}/missing", params=between).json()] == ["lost.EOF"]
    (again,) = api.get(f"{ROOT}/duplicates", params=between).json()
    assert (again["filename"], again["first"]) == (S1.format(0, "BBBB"), S1.format(0, "AAAA"))
    for what in ("late", "missing", "duplicates"):
        assert api.get(f"{ROOT}/{what}", params=between | {"mission": "S2"}).json() == []
    assert api.get(f"{ROOT}/late", params=between | {"page": 1, "size": 3}).json() == late[3:]
    for wrong in ("day?day=1066-10-14", "month?month=2026-13", "late?since=yesterday"):
        assert api.get(f"{ROOT}/{wrong}").status_code == 400
    assert api.get(f"{ROOT}/day", headers=bearer("paul", ["prip-user"])).status_code == 403


def test_the_earlier_one_is_no_duplicate_though_its_line_comes_later(engine: Engine, lines: Lines) -> None:
    trace_of(S1.format(0, "AAAA"), timedelta(hours=2))
    save(engine, lines())
    trace_of(S1.format(0, "BBBB"), timedelta(hours=1))
    save(engine, lines())
    assert {row["filename"][-9:-5]: row["duplicate"] for row in rows(engine, product)} == {"AAAA": True, "BBBB": False}


def test_operators_invalidate(engine: Engine, lines: Lines, api: TestClient) -> None:
    trace_of(S1.format(0, "AAAA"), timedelta(hours=1))
    trace_of(S1.format(1, "AAAA"), timedelta(hours=4))
    with logs.task("JobProcessing", chain="S1_L0", mission="S1", follows="job") as task:
        task.status, task.error_code = "NOK", 1
        task.missing = [logs.Missing({"level_string": "L0"}, count=2)]
    save(engine, lines())
    between = {"since": "2026-11-01T00:00:00Z", "until": (utc_now() + timedelta(days=1)).isoformat()}
    (late,) = api.get(f"{ROOT}/late", params=between).json()
    (missing,) = api.get(f"{ROOT}/missing", params=between).json()
    assert (missing["estimatedCount"], missing["level"]) == (2, "L0")
    asked: dict[str, Any] = {
        "responsibility": "E2E",
        "rootCause": "the satellite was in safe mode",
        "anomalyIdentifier": "SOAR-17",
        "label": "safe mode",
        "timeliness": [late["id"]],
        "completeness": [missing["id"]],
    }
    day = {"day": "2026-11-01"}
    assert api.get(f"{ROOT}/day", params=day).json()["total"]["timelinessCorrected"] == 50
    made = api.post(f"{ROOT}/invalidations", json=asked)
    assert made.status_code == 201, made.text
    total = api.get(f"{ROOT}/day", params=day).json()["total"]
    assert (total["timeliness"], total["timelinessCorrected"], total["lateExcused"]) == (50, 100, 1)
    today = api.get(f"{ROOT}/day").json()["total"]
    assert (today["missing"], today["missingExcused"], today["completeness"]) == (2, 2, 0)
    (shown,) = api.get(f"{ROOT}/invalidations").json()
    assert shown | asked | {"operatorName": "olga"} == shown
    assert api.get(f"{ROOT}/late", params=between).json()[0]["invalidation"] == shown["id"]
    own = api.post(f"{ROOT}/invalidations", json=asked | {"responsibility": "PDGS"}).json()["id"]
    assert api.delete(f"{ROOT}/invalidations/{shown['id']}").status_code == 204
    assert api.delete(f"{ROOT}/invalidations/{shown['id']}").status_code == 404
    assert api.get(f"{ROOT}/day", params=day).json()["total"]["timelinessCorrected"] == 50, (
        "our own fault excuses nothing"
    )
    assert api.delete(f"{ROOT}/invalidations/{own}").status_code == 204
    for wrong, status in (
        ({"timeliness": [str(uuid4())]}, 404),
        ({"completeness": [str(uuid4())]}, 404),
        ({"responsibility": "SOMEBODY"}, 400),
        ({"rootCause": ""}, 400),
        ({"timeliness": [], "completeness": []}, 400),
    ):
        assert api.post(f"{ROOT}/invalidations", json=asked | wrong).status_code == status, wrong
    assert api.get(f"{ROOT}/invalidations").json() == []


def test_what_was_made_by_a_second_try_is_not_missing(engine: Engine, lines: Lines, api: TestClient) -> None:
    for status in ("NOK", "OK"):
        with logs.task("JobProcessing", chain="S1_L0", mission="S1", follows="job") as task:
            task.status, task.error_code = ("OK", 0) if status == "OK" else ("NOK", 1)
            task.missing = [] if status == "OK" else [logs.Missing({"level_string": "L0"})]
    save(engine, lines())
    assert api.get(f"{ROOT}/missing").json() == []
    assert api.get(f"{ROOT}/day").json()["total"]["missing"] == 0


def test_what_is_old_goes(engine: Engine, lines: Lines) -> None:
    trace_of(S1.format(0, "AAAA"), timedelta(hours=1), moment=utc_now() - timedelta(days=500))
    trace_of(S1.format(1, "AAAA"), timedelta(hours=1), moment=utc_now() - timedelta(days=300))
    save(engine, lines())
    forget_old(engine)
    assert [row["filename"] for row in rows(engine, product)] == [S1.format(1, "AAAA")]
    assert count(engine, processing) == 2
