"""Plan files: their names and headers are those of the convention, and what reads station plans reads them."""

import hashlib
from datetime import UTC, datetime
from io import BytesIO

import pytest

from refsys.services.common.names import parse_name
from refsys.services.ingestor.check import check
from refsys.services.ingestor.rules import auxiliary_name
from refsys.services.orbits.readers import read
from refsys.services.sra.allocation import CHOSEN, Decision
from refsys.services.sra.plan_file import Of, Written, write

START = datetime(2026, 11, 24, tzinfo=UTC)
PLAN = Of(7, datetime(2026, 11, 23, 8, 45, 1, tzinfo=UTC), START, datetime(2026, 11, 25, tzinfo=UTC))
AT = START.timestamp() + 100.1234
CONTACT = Decision("S1A", "SGS_", AT, AT + 400, 33.333, CHOSEN, "why", antenna="SG1", timeliness="NRT", sent=12.5)


def written(satellite: str = "S1A", decisions: tuple[Decision, ...] = (CONTACT,)) -> Written:
    return write(PLAN, satellite, "SGS_", decisions)


def test_the_name_follows_the_convention() -> None:
    name = written().name
    assert name == "S1A_OPER_MPL_SPSGS__SRA__20261123T084501_V20261124T000000_20261125T000000.EOF"
    parsed = parse_name(name)
    assert (parsed.product_type, parsed.satellite_id, parsed.start) == ("MPL_SPSGS_", "S1A", START)


@pytest.mark.parametrize("satellite", ["S1A", "S1D", "S2C", "S3B"])
def test_the_ingestor_takes_it(satellite: str) -> None:
    file = written(satellite)
    content = file.text.encode()
    name = auxiliary_name(file.name)
    check(name, BytesIO(content), len(content), "SHA-256", hashlib.sha256(content).hexdigest())  # type: ignore[arg-type]


def test_it_is_read_as_a_station_plan() -> None:
    told = read(written().name, written().text.encode())
    assert (told.kind, told.station, told.satellite, told.created) == ("contacts", "SGS_", "S1A", PLAN.created)
    (contact,) = told.contacts
    assert contact.antenna == "SG1"
    assert contact.start.timestamp() == pytest.approx(AT, abs=0.001)
    assert (contact.stop - contact.start).total_seconds() == pytest.approx(400, abs=0.001)


def test_without_contacts_it_says_so() -> None:
    file = written(decisions=())
    assert read(file.name, file.text.encode()).contacts == []
    assert '<SCHEDULE count="0"/>' in file.text
