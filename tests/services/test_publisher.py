"""The publisher on real Kafka and PostgreSQL: every event once, in an order that no client misses."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from tests.services.published import EPOCH, attributes, event

from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.messages import CATALOG_EVENT, ERROR_WARNING, CatalogEvent, Checksum
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.distribution import publisher
from refsys.services.distribution.model import product

NAME = "S1A_OPER_AUX_RESORB_OPOD_20240101T000000_V20240101T000000_20240101T010000.EOF"


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(product).order_by(product.c.publication_date)).mappings())


def test_row_of_an_event(engine: Engine) -> None:
    given = event(
        NAME,
        b"content",
        attributes=attributes(productType="AUX_RESORB", orbitNumber=7, cloudCover=0.5, ok=True, processingDate=EPOCH),
        footprint={"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 1], [0, 0]]]},
        additional_fields={"t0PdgsDate": "2023-12-31T23:00:00Z"},
    )
    before = datetime.now(UTC)
    moment = publisher.publish(engine, given)
    (row,) = rows(engine)
    assert before - timedelta(seconds=1) < moment < datetime.now(UTC) + timedelta(seconds=1)
    assert moment.microsecond % 1000 == 0
    assert (row["id"], row["name"], row["content_length"]) == (given.product_id, NAME, 7)
    assert (row["bucket"], row["object_key"], row["mission"]) == ("rs-s1-aux", NAME, "S1")
    assert row["origin_date"] == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert (row["product_type"], row["online"]) == ("AUX_RESORB", True)
    assert row["attributes"]["processingDate"] == {
        "type": "DateTimeOffset",
        "value": "2024-01-01T00:00:00.000000Z",
    }
    assert json.loads(row["footprint"])["type"] == "Polygon"
    assert list(row["trace"]) and row["trace"]["published"] == moment.isoformat(timespec="microseconds").replace(
        "+00:00", "Z"
    )


def test_same_event_again_changes_nothing(engine: Engine) -> None:
    first = publisher.publish(engine, event(NAME, b"content"))
    time.sleep(0.01)
    assert publisher.publish(engine, event(NAME, b"content")) == first
    assert len(rows(engine)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"product_size_byte": 8},
        {"checksums": [Checksum(algorithm="MD5", value="0" * 32, checksum_date=EPOCH)]},
        {"product_id": "00000000-0000-0000-0000-000000000001"},
    ],
)
def test_other_content_under_a_published_name(engine: Engine, changes: dict[str, Any]) -> None:
    publisher.publish(engine, event(NAME, b"content"))
    with pytest.raises(RejectedError, match="already published"):
        publisher.publish(engine, event(NAME, b"content", **changes))
    assert rows(engine)[0]["content_length"] == 7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"storage_path": "elsewhere"}, "s3://bucket/key"),
        ({"content_date_end": EPOCH - timedelta(days=1)}, "lies before"),
        ({"additional_fields": {"t0PdgsDate": "yesterday"}}, "t0PdgsDate"),
        ({"attributes": [{"name": "x", "type": "Integer", "value": "5"}]}, "not of type"),
        ({"attributes": [{"name": "x", "type": "DateTimeOffset", "value": "soon"}]}, "ISO 8601"),
    ],
)
def test_contradictory_events(engine: Engine, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        publisher.publish(engine, event(NAME, b"", **changes))
    assert rows(engine) == []


def test_a_polling_client_misses_nothing(engine: Engine) -> None:
    """Eight writers at once, and a client that reads `PublicationDate gt <last>` in milliseconds, 7 at a time."""
    count, seen, done = 200, list[str](), threading.Event()

    def write(offset: int) -> None:
        for number in range(offset, count, 8):
            publisher.publish(engine, event(f"S1A_{number:04d}.EOF", b"x"))

    def read() -> None:
        cursor, last_round = datetime(1970, 1, 1, tzinfo=UTC), False
        while True:
            statement = (
                select(product.c.name, product.c.publication_date)
                .where(product.c.publication_date > cursor)
                .order_by(product.c.publication_date)
                .limit(7)
            )
            with engine.connect() as connection:
                page = connection.execute(statement).all()
            if page:
                seen.extend(row.name for row in page)
                cursor = page[-1].publication_date
                cursor = cursor.replace(microsecond=cursor.microsecond // 1000 * 1000)
            elif last_round:
                return
            else:
                last_round = done.is_set()

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(offset,)) for offset in range(8)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    done.set()
    reader.join(60)
    assert sorted(seen) == [f"S1A_{number:04d}.EOF" for number in range(count)]


def test_dates_rise_even_if_the_clock_stands_behind(engine: Engine) -> None:
    publisher.publish(engine, event("S1A_first.EOF"))
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    with engine.begin() as connection:
        connection.execute(product.update().values(publication_date=ahead))
    assert publisher.publish(engine, event("S1A_second.EOF")) == ahead + timedelta(milliseconds=1)


def test_from_kafka(
    engine: Engine,
    kafka_settings: Callable[[str], KafkaSettings],
    bus: Any,
    new_process: Callable[[str], Process],
    in_thread: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> None:
    """Events are published once; what can't be published goes to `error-warning` and holds up nothing."""
    events = [event(f"S1A_{number}.EOF", b"x") for number in range(20)]
    contradictory = event("S1A_0.EOF", b"other content")
    catalogue = Producer(kafka_settings("catalogue"), "catalogue")

    def send(sent: list[CatalogEvent]) -> None:
        for each in sent:
            catalogue.send(CATALOG_EVENT, each, each.key())
        catalogue.flush()

    def published() -> int:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(product)).scalar_one()

    running, kafka = new_process("publisher"), kafka_settings("publisher")
    with in_thread(lambda: publisher.consume(running, kafka, engine)):
        send(events)
        until = time.monotonic() + 60
        while published() < len(events) and time.monotonic() < until:
            time.sleep(0.1)
        dates = [row["publication_date"] for row in rows(engine)]
        send([*events, contradictory])
        (failed,) = bus.read(ERROR_WARNING, 1)
        running.stop.set()
    assert [row["publication_date"] for row in rows(engine)] == dates
    assert len(dates) == len(set(dates)) == len(events)
    assert json.loads(failed)["topic"] == CATALOG_EVENT
    assert "already published" in json.loads(failed)["failureMessage"]
