"""A million lines while the log store is away, Kafka too for a while, and the indexer killed again and again.

The store is to be away for an hour. How long it is, is no part of what is tested: the indexer waits the same three
seconds each time and takes nothing from Kafka, and Kafka's retention and the collector's limits are far above an hour
(`tests/unit/monitoring/test_log_limits.py`). What counts is how much piles up.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.means.log_lines import PLACES, write
from tests.means.log_path import LogPath, log_path
from tests.means.rsyslog import collector
from tests.services.conftest import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

LINES = int(os.environ.get("REFSYS_OUTAGE_LINES", "1000000"))
PORTIONS = 10
KAFKA_AWAY = range(2, 5)
"""While it is away more is written than the collector keeps in memory."""
KAFKA_AWAY_SECONDS = 60
KILLS = 5
MARK = re.compile(r"\b(portion\d+) (\d+)\b")
PAGE = 10_000


@pytest.fixture
def path(tmp_path: Path) -> Iterator[LogPath]:
    with log_path(tmp_path) as running:
        yield running


def numbers(path: LogPath) -> Iterator[str]:
    """Mark and number of each line in the store, by pages of a search that sees one state of it."""
    path.store.refresh()
    body = {"size": PAGE, "sort": ["_doc"], "_source": ["message"]}
    with path.store.direct() as client:
        answer = client.post("/logs-*/_search?scroll=5m", json=body).raise_for_status().json()
        while hits := answer["hits"]["hits"]:
            for hit in hits:
                found = MARK.search(hit["_source"]["message"])
                assert found, hit
                yield found.group()
            again = {"scroll": "5m", "scroll_id": answer["_scroll_id"]}
            answer = client.post("/_search/scroll", json=again).raise_for_status().json()


def spooled(spool: Path) -> int:
    """Bytes that the collector keeps on the disk."""
    return sum(file.stat().st_size for file in spool.glob("kafka.0*") if file.exists())


def test_a_million_lines_outlive_store_broker_and_indexer(path: LogPath, tmp_path: Path) -> None:
    with (
        collector(tmp_path / "node", path.kafka.bootstrap, path.authority) as collecting,
        path.indexer() as indexer,
    ):
        files = [collecting.log_of(*place) for place in PLACES]
        wait_until(indexer.ready, 120, "the indexer is ready")
        path.store.server.stop()
        with pytest.raises(httpx.TransportError), path.store.direct() as client:
            client.get("/")
        for portion in range(PORTIONS):
            if portion == KAFKA_AWAY.start:
                path.kafka.server.stop()
            write(files, LINES // PORTIONS, f"portion{portion}")
            if portion == KAFKA_AWAY.stop:
                wait_until(lambda: spooled(collecting.spool) > 0, 120, "records wait on the disk")
                time.sleep(KAFKA_AWAY_SECONDS)
                path.kafka.server.start()
            if portion % 2:
                indexer.kill()
                indexer.launch()
        wait_until(lambda: path.written() >= LINES, 1800, "Kafka has all lines")
        path.store.server.start()
        for kill in range(1, KILLS + 1):
            wait_until(lambda kill=kill: path.indexed() >= LINES * kill // (KILLS + 2), 1800, "some are indexed")  # type: ignore[misc]
            indexer.kill()
            indexer.launch()
        wait_until(lambda: path.indexed() >= path.written(), 1800, "all are indexed")
        found = Counter(numbers(path))
    expected = {f"portion{portion} {number}" for portion in range(PORTIONS) for number in range(LINES // PORTIONS)}
    assert found.keys() == expected
    assert {mark: times for mark, times in found.items() if times > 1} == {}
