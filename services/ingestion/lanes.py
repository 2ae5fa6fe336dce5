"""The lanes of the worker: a consumer for each station, with as many threads as the station allows connections."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from refsys.services.common.bus import Consumer, Producer
from refsys.services.common.messages import INGESTION_JOB, IngestionJob
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.ingestion.intake import LANE
from refsys.services.ingestion.stations import Station

BATCH_FILES = 8  # of each thread
BUFFER_KIBIBYTES = 512


def lanes(
    stations: Mapping[str, Station],
    handle: Callable[[IngestionJob], None],
    producer: Producer,
    kafka: KafkaSettings,
    running: Process,
) -> list[Consumer[IngestionJob]]:
    """A consumer for each station, and one for the jobs of no known station, which become dead letters."""
    consumer = partial(
        Consumer[IngestionJob],
        kafka,
        running,
        producer,
        topic=INGESTION_JOB,
        model=IngestionJob,
        handle=handle,
        buffer_kibibytes=BUFFER_KIBIBYTES,
    )
    made = [
        consumer(
            group=f"{running.name}.{name}",
            takes=partial(_is_of, name),
            workers=station.files_at_once,
            batch=BATCH_FILES * station.files_at_once,
        )
        for name, station in stations.items()
    ]
    return [*made, consumer(takes=lambda headers: headers.get(LANE) not in stations)]


def _is_of(station: str, headers: Mapping[str, str]) -> bool:
    return headers.get(LANE) == station


def run_lanes(consumers: Sequence[Consumer[IngestionJob]], stop: threading.Event) -> None:
    """Run until asked to stop; when one consumer fails, all end, for the process to be started anew."""
    failures: list[Exception] = []

    def run(consumer: Consumer[IngestionJob]) -> None:
        try:
            consumer.run()
        except Exception as error:
            failures.append(error)
        finally:
            stop.set()

    threads = [threading.Thread(target=run, args=(consumer,)) for consumer in consumers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
