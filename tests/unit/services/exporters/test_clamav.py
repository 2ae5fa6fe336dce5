"""What clamd says of itself."""

from typing import cast

import pytest

from refsys.services.common.virus_scan import Scanner
from refsys.services.exporters import clamav

STATS = """POOLS: 1

STATE: VALID PRIMARY
THREADS: live 1  idle 0 max 10 idle-timeout 30
QUEUE: 3 items
\tSTATS 0.000042

MEMSTATS: heap N/A mmap N/A used N/A
END"""


class Answers:
    """A scanner that answers so."""

    def __init__(self, version: str, stats: str) -> None:
        self._answers = {"VERSION": version, "STATS": stats}

    def ask(self, command: str) -> str:
        return self._answers[command]


def read(version: str, stats: str = STATS) -> dict[str, float]:
    metrics = clamav.read(cast(Scanner, Answers(version, stats)))
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


def test_signatures_have_an_age_and_a_number() -> None:
    assert read("ClamAV 1.4.3/27500/Mon Jan  5 09:31:01 2026") == {
        "clamav_up": 1,
        "clamav_info": 1,
        "clamav_queue_length": 3,
        "clamav_signatures_timestamp_seconds": 1767605461,
        "clamav_signatures_version": 27500,
    }


def test_own_signatures_alone_have_none() -> None:
    assert read("ClamAV 1.4.3") == {"clamav_up": 1, "clamav_info": 1, "clamav_queue_length": 3}


@pytest.mark.parametrize(("version", "stats"), [("UNKNOWN COMMAND", STATS), ("ClamAV 1.4.3", "COMMAND UNAVAILABLE")])
def test_another_answer_is_none(version: str, stats: str) -> None:
    assert read(version, stats) == {"clamav_up": 0}
