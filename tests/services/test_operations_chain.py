"""Figures of the chain for operators, from a real database."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert
from tests.services.kept import operations_api

from refsys.services.common.messages import iso, utc_now
from refsys.services.dead_letters.tables import PARKED, RESTARTED, RESTARTING, failed_processing
from refsys.services.ingestion.tables import QUARANTINED, QUEUED, RETRY, STORED, InboxEntry, Quarantine, StationCursor

NOW = utc_now().replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    with operations_api(engine, tmp_path) as client:
        yield client


def figures(api: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/operations/v1/chain").raise_for_status().json()
    return found


def test_nothing_to_do(api: TestClient) -> None:
    assert figures(api) == {
        "stations": [],
        "inWork": {"count": 0, "oldest": None},
        "deadLetters": {"waiting": 0, "restarting": 0, "oldest": None},
        "quarantined": {"count": 0, "last": None},
    }


def test_what_is_in_work_and_what_waits(engine: Engine, api: TestClient) -> None:
    with engine.begin() as connection:
        for station in ("ADGS", "MPIP"):
            connection.execute(insert(StationCursor).values(station=station, publication_date=NOW, updated=NOW))
        for number, (state, hours) in enumerate([(QUEUED, 1), (RETRY, 5), (STORED, 9), (QUARANTINED, 8)]):
            connection.execute(
                insert(InboxEntry).values(
                    station="ADGS", product_id=str(number), name=f"F{number}", size=1, checksums=[],
                    publication_date=NOW, family="AUXILIARY_FILE", mission="S1", state=state, station_code="ADGS",
                    reason="read timeout" if state == RETRY else "", seen=NOW - hours * HOUR, attempts=number,
                )
            )  # fmt: skip
        for number, (state, hours) in enumerate([(PARKED, 2), (PARKED, 3), (RESTARTING, 4), (RESTARTED, 5)]):
            connection.execute(
                insert(failed_processing).values(
                    id=f"00000000-0000-4000-8000-00000000000{number}", topic="t", uid=str(number), key="k",
                    mission_id="S1", error_level="ERROR", failure_date=NOW - hours * HOUR,
                    first_failure_date=NOW - hours * HOUR, failure_message="m", stacktrace="", message="{}",
                    retry_counter=0, state=state,
                )
            )  # fmt: skip
        for name, days in (("old", 3), ("late", 0)):
            seen = NOW - timedelta(days=days)
            connection.execute(
                insert(Quarantine).values(
                    station="ADGS", product_id=name, name=name, reason="virus", attempts=1, first_seen=seen,
                    last_seen=seen,
                )
            )  # fmt: skip
    found = figures(api)
    stations = [(each["name"], each["inWork"], each["retrying"], each["reason"]) for each in found["stations"]]
    assert stations == [("ADGS", 2, 1, "read timeout"), ("MPIP", 0, 0, "")]
    assert found["inWork"]["count"] == 2
    oldest = found["inWork"]["oldest"]
    assert (oldest["name"], oldest["state"], oldest["reason"], oldest["attempts"]) == ("F1", RETRY, "read timeout", 1)
    assert oldest["seen"] == iso(NOW - 5 * HOUR)
    assert found["deadLetters"] == {"waiting": 2, "restarting": 1, "oldest": iso(NOW - 3 * HOUR)}
    assert found["quarantined"] == {"count": 1, "last": {"name": "late", "station": "ADGS", "reason": "virus"}}
