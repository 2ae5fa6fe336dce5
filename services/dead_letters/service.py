"""The `dlq` process: takes failed messages from `error-warning`, and sends again what rules or operators say."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import Engine

from refsys.services.common import logs, process
from refsys.services.common.bus import UNAVAILABLE, Consumer, Producer
from refsys.services.common.database import open_database
from refsys.services.common.messages import ERROR_WARNING, FailedProcessing
from refsys.services.common.settings import DatabaseSettings, DeadLetterSettings, KafkaSettings, load
from refsys.services.dead_letters import restarts
from refsys.services.dead_letters.intake import DELAY_BASE_SECONDS, forget_old, take
from refsys.services.dead_letters.rules import Rule, load_rules

AGE_OUT_SECONDS = 3600.0

log = logs.get_logger()


def main() -> None:
    """Work until asked to stop."""
    settings = load(DeadLetterSettings)
    rules = load_rules(settings.rules_file)
    kafka, database = load(KafkaSettings), load(DatabaseSettings)
    running = process.start("dlq")
    engine = open_database(database, running.name)
    serve(running, kafka, engine, rules, keep=timedelta(days=settings.keep_days))
    engine.dispose()


def serve(
    running: process.Process,
    kafka: KafkaSettings,
    engine: Engine,
    rules: Sequence[Rule],
    *,
    keep: timedelta,
    delay_base: float = DELAY_BASE_SECONDS,
) -> None:
    """Take, send again and age out until `running` is asked to stop."""

    def handle(failed: FailedProcessing) -> None:
        take(engine, rules, failed, delay_base)

    producer = Producer(kafka, running.name)
    consumer = Consumer(kafka, running, producer, topic=ERROR_WARNING, model=FailedProcessing, handle=handle)
    process.run_together(
        running,
        consumer.run,
        partial(restarts.serve, kafka, engine, running.stop),
        partial(_age_out, engine, keep, running.stop),
    )


def _age_out(engine: Engine, keep: timedelta, stop: threading.Event) -> None:
    while True:
        try:
            forget_old(engine, keep)
        except UNAVAILABLE as error:
            log.error("ageing out waits", reason=f"{type(error).__name__}: {error}")
        if stop.wait(AGE_OUT_SECONDS):
            return
