"""The `kpi` process: REPORT lines from Kafka into the KPI tables, and metrics of how long products take.

Lines come at least once, late and in any order. A row is known by its task's uid, its product's id, or its file's
place, and only ever filled in; offsets are committed when the rows are. What lines never told comes from the chain's
own tables (`sweep`). So nothing is lost, and nothing counted twice.
"""

import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import confluent_kafka
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine

from refsys.services.common import logs, process
from refsys.services.common.batches import Batches
from refsys.services.common.bus import UNAVAILABLE
from refsys.services.common.database import open_database
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, KpiSettings, load
from refsys.services.kpi import ledger, lines, loads
from refsys.services.kpi.facts import STEPS, Facts, Published
from refsys.services.kpi.sweep import LIMIT, untold
from refsys.services.kpi.timeliness import Limit, load_limits

NAME = "kpi"
BATCHES = Batches(NAME, ["logs-processing"], 500, UNAVAILABLE, {"queued.max.messages.kbytes": 8192})
SWEEP_SECONDS = 60.0
SWEEPS_OF_A_DAY, SWEEPS_OF_A_LOAD = 1440, 10
FIRST_BACK, BACK = timedelta(days=7), timedelta(days=1)
BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800)

SECONDS = Histogram(
    "refsys_product_step_seconds",
    "Seconds of a published product's steps: to the store (from the station's publication), catalogue, PRIP, and all",
    ["mission", "step"],
    buckets=BUCKETS,
)
LATE = Counter("refsys_products_late_total", "Products published later than they may be", ["mission", "timeliness"])
LINES = Counter("refsys_report_lines_total", "REPORT lines, by outcome", ["outcome"])
UNTOLD = Counter("refsys_kpi_untold_total", "Files and products that no REPORT line told of")

log = logs.get_logger()


def main() -> None:
    """Work until asked to stop."""
    limits = load_limits(load(KpiSettings).timeliness_file)
    database, kafka = load(DatabaseSettings), load(KafkaSettings)
    running = process.start(NAME, traced=False)
    engine = open_database(database, running.name, pool_size=2)
    process.run_together(
        running, partial(serve, running, kafka, engine, limits), partial(look_after, engine, limits, running.stop)
    )
    engine.dispose()


def serve(running: process.Process, kafka: KafkaSettings, engine: Engine, limits: Sequence[Limit]) -> None:
    """Take lines until `running` is asked to stop."""
    BATCHES.serve(running, kafka, partial(_keep, engine, limits))


def _keep(engine: Engine, limits: Sequence[Limit], records: Sequence[confluent_kafka.Message]) -> None:
    facts = Facts(limits)
    for record in records:
        take(facts, record)
    save(engine, facts)


def take(facts: Facts, message: confluent_kafka.Message) -> None:
    """Add what a record tells; one that cannot be read is counted, and told once."""
    value = message.value() or b""
    try:
        line = lines.read(value if isinstance(value, bytes) else value.encode())
    except lines.UnreadableError as error:
        LINES.labels("unreadable").inc()
        place = f"{message.topic()}-{message.partition()}-{message.offset()}"
        log.warning("a line of a task cannot be read", record=place, reason=str(error)[:500])
        return
    if line is not None:
        LINES.labels("read").inc()
        facts.add(line)


def save(engine: Engine, facts: Facts) -> None:
    """Write what is known, and measure the products that were not."""
    for key in ledger.write(engine, facts):
        _measure(facts.products[key])


def look_after(engine: Engine, limits: Sequence[Limit], stop: threading.Event) -> None:
    """Fill in what lines did not tell, and forget what is old, until asked to stop."""
    rounds, back = 0, FIRST_BACK
    while not stop.wait(SWEEP_SECONDS):
        try:
            if sweep(engine, limits, back) < LIMIT:
                back = BACK
            if rounds % SWEEPS_OF_A_DAY == 0:
                ledger.forget_old(engine)
            if rounds % SWEEPS_OF_A_LOAD == 0:
                loads.measure(engine)
        except UNAVAILABLE as error:
            log.warning("the database is waited for", reason=str(error)[:300])
        rounds += 1


def sweep(engine: Engine, limits: Sequence[Limit], back: timedelta) -> int:
    """Fill in what lines did not tell of so long a time; returns how many files and products, not more than some."""
    facts = Facts(limits)
    if found := untold(engine, facts, back):
        save(engine, facts)
        UNTOLD.inc(found)
        log.info("files and products without a line", count=found)
    return found


def _measure(published: Published) -> None:
    row, mission = published.row, published.row["mission"]
    available, stored, catalogued, moment = (published.steps[name] for name in STEPS)
    begin = row["t0_pdgs_date"] or available
    steps = {"ingestion": (available, stored), "catalogue": (stored, catalogued), "publication": (catalogued, moment)}
    for step, (before, after) in (steps | {"total": (begin, moment)}).items():
        if before and after:
            SECONDS.labels(mission, step).observe(max(0.0, (after - before).total_seconds()))
    limit = row["timeliness_value_seconds"]
    if limit is not None and begin and moment and (moment - begin).total_seconds() > limit:
        LATE.labels(mission, row["timeliness_name"]).inc()
