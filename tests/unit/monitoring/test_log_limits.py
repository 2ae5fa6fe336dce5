"""How long logs may wait, by the limits of what they pass through: the hour without the store is far within them.

Time enters nowhere else: the indexer asks the store again after the same few seconds each time.
"""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from tests.means.rsyslog import ROLE, rendered

from refsys.platform.components.kafka import KafkaArgs, server_properties
from refsys.services.common import batches, topics
from refsys.services.logs.store import BULK_BYTES

HOUR = timedelta(hours=1)
LINES = 1_000_000
LINE_IN_KAFKA = 200  # bytes with lz4, as `bench logs` prints them, rounded up
LINE_ON_DISK = 2_500  # bytes in rsyslog's own format, rounded up
MIB, GIB = 2**20, 2**30


@pytest.fixture
def collector(tmp_path: Path) -> str:
    return rendered("kafka.example.org:32093", tmp_path)


def of_collector(text: str, name: str) -> int:
    """A number of the action's queue."""
    found = re.search(rf'\b{re.escape(name)}="(-?\d+)', text)
    assert found, name
    return int(found[1])


def test_kafka_keeps_what_the_store_did_not_take() -> None:
    assert timedelta(milliseconds=topics.RETENTION_MS) > HOUR
    properties = dict(line.split("=", 1) for line in server_properties("example.org").splitlines())
    assert timedelta(hours=int(properties["log.retention.hours"])) > HOUR
    assert not [name for name in properties if "retention.bytes" in name], "it keeps by time alone"
    assert "offsets.retention.minutes" not in properties, "by default places are kept a week"


def test_kafka_has_room_for_an_hour() -> None:
    room = int(KafkaArgs.size.removesuffix("Gi")) * GIB
    assert room > 20 * LINES * LINE_IN_KAFKA
    assert 0.75 * room > 20_000 * HOUR.total_seconds() * LINE_IN_KAFKA, "an hour at the highest rate"


def test_the_collector_never_gives_up(collector: str) -> None:
    assert of_collector(collector, "action.resumeRetryCount") == -1
    assert of_collector(collector, "action.resumeIntervalMax") <= 60
    assert timedelta(milliseconds=of_collector(collector, "queue.timeoutEnqueue")) > HOUR, "what is full makes it wait"
    assert '"message.timeout.ms=0"' in collector


def test_the_collectors_disk_holds_some_minutes(collector: str) -> None:
    room = of_collector(collector, "queue.maxDiskSpace") * MIB
    assert room == yaml.safe_load((ROLE / "defaults/main.yml").read_text())["log_collector_disk_mebibytes"] * MIB
    assert room / LINE_ON_DISK > 400_000
    assert room / LINE_ON_DISK / 1000 > timedelta(minutes=7).total_seconds(), "a thousand lines a second"


def test_the_indexer_asks_again_soon_and_for_ever() -> None:
    assert batches.RETRY_SECONDS <= 5
    assert BULK_BYTES + 256 * 1024 < 32 * MIB, "a request with the longest record more is what the store takes"
