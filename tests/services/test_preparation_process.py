"""The process `preparation` as it is deployed: settings from the environment, killed again and again."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import cast

import pytest
from sqlalchemy import Engine, insert
from tests.means.chain import kafka_variables, s3_variables
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.services.conftest import CHECKOUT, Bus, wait_until
from tests.services.preparing import ENABLED, NOON, Catalogued, NoMasks, jobs, opened, orbit, stamp
from tests.services.test_preparation import fixed
from tests.services.test_processes import Running

from refsys.services.common.bus import Producer
from refsys.services.common.messages import CATALOG_EVENT, EXECUTION_JOB
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.shelf import SHIPPED
from refsys.services.production.tables import AddedChain


@pytest.mark.long
def test_a_process_that_is_killed_again_and_again_makes_each_job_once(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    engine: Engine,
    database: DatabaseSettings,
    bus: Bus,
    kafka_server: Kafka,
    kafka_settings: Callable[[str], KafkaSettings],
    s3: S3Settings,
    s3_server: S3,
) -> None:
    random, kills, count = Random(3), 100, 200  # noqa: S311
    document = SHIPPED.joinpath("s1-l1.yaml").read_text().replace("enabled: false", "enabled: true")
    # What is optional is given a second.
    document = document.replace("from_ingestion: 600", "from_ingestion: 1").replace("1800", "1").replace("7200", "1")
    with engine.begin() as connection:
        connection.execute(insert(AddedChain).values(name="s1-l1", document=document, operator_name="olga"))
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        **s3_variables(s3_server),
        **kafka_variables(kafka_server, "preparation"),
    }
    catalogued = Catalogued(engine, Preparation(engine, ENABLED, cast(Masks, NoMasks()), {}))
    fixed(catalogued)
    producer = Producer(kafka_settings("catalogue"), "catalogue")
    process = Running("preparation", variables, tmp_path / "preparation.log")
    for number in range(count):
        start = NOON + timedelta(seconds=25 * number)
        name = f"S1A_IW_RAW__0SDV_{stamp(start)}_{stamp(start + timedelta(seconds=32))}_050000_060000_{number:04X}.SAFE"
        event = catalogued.add(name, "L0_SLICE", timeliness="NRT")
        producer.send(CATALOG_EVENT, event, event.key())
        if number == count // 2:
            poe = catalogued.add(orbit("AUX_POEORB"), "AUXILIARY_FILE")
            producer.send(CATALOG_EVENT, poe, poe.key())
        producer.flush()
        if random.random() < kills / count:
            process.end(signal.SIGKILL)
            process = Running("preparation", variables, tmp_path / "preparation.log")
    wait_until(
        lambda: Counter(each["state"] for each in jobs(engine)) == {"GENERATING": count}, 120, "all jobs are sent"
    )
    assert process.end(signal.SIGTERM) == 0
    orders = [json.loads(text) for text in bus.read(EXECUTION_JOB, count)]
    by_job = {(each["jobId"], each["attempt"]): each for each in orders}
    assert set(by_job) == {(str(each["id"]), 0) for each in jobs(engine)}
    assert opened(engine) == []
    # Sent again is the same order.
    assert all(by_job[each["jobId"], each["attempt"]] == each for each in orders)
