"""Job orders, slices and masks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from refsys.services.preparation.coverage import MaskError, read_mask
from refsys.services.preparation.needs import Period
from refsys.services.preparation.slices import cut, parameters
from refsys.services.processors.jobs import read_job_order
from refsys.services.production.chains import Slices
from refsys.services.production.order import Input, Order, Output, Processor, Task, job_order_xml

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
IW, EW, WV = (
    Slices(length_seconds=25, overlap_seconds=7.4),
    Slices(length_seconds=60, overlap_seconds=8.2),
    Slices(length_seconds=0),
)


def period(seconds: float) -> Period:
    return Period(NOON, NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("slices", "seconds", "count"),
    [
        (IW, 10, 1),
        (IW, 32.4, 1),
        (IW, 39.7, 1),  # what is left is not longer than the overlap
        (IW, 40, 2),
        (IW, 57.4, 2),
        (IW, 65, 3),
        (EW, 68.2, 1),
        (EW, 300, 5),
        (WV, 5000, 1),
    ],
)
def test_a_data_take_is_cut(slices: Slices, seconds: float, count: int) -> None:
    found = cut(period(seconds), slices)
    assert len(found) == count
    assert (found[0].start, found[-1].stop) == (NOON, NOON + timedelta(seconds=seconds))
    for one, following in pairwise(found):
        assert (following.start - one.start).total_seconds() == slices.length_seconds
        assert (one.stop - following.start).total_seconds() == pytest.approx(slices.overlap_seconds)
    assert all((each.stop - each.start).total_seconds() > slices.overlap_seconds for each in found)


def test_the_processor_is_told_of_slices() -> None:
    told = parameters(period(60), IW)
    assert told["Total_Number_Of_Slices"] == "2"
    assert (told["Slice_Length"], told["Slice_Overlap"], told["Slicing_Flag"]) == ("25", "7.4", "TRUE")
    assert len(told["Slice_Times"].split()) == int(told["Total_Number_Of_Slices"])


def test_the_level_0_processor_reads_an_order(tmp_path: Path) -> None:
    order = Order(
        job_id=UUID(int=5),
        chain="s1-aiop",
        task_table="S1_AIOP",
        mission="S1",
        satellite="S1A",
        processor=Processor(image="services", name="LEVEL0", version="1.0"),
        tasks=[Task(name="LEVEL0", command=["python"])],
        start_time=NOON,
        stop_time=NOON,
        parameters={"Processing_Station": "MTI_", "Satellite": "S1A"},
        inputs=[
            Input(
                name=f"DCS_01_S1A_20261101120000050000_ch1_DSDB_0000{number}.raw",
                product_type="DSDB",
                family="EDRS_SESSION",
                bucket="rs-session-files",
                key="x",
                size=1,
            )
            for number in (1, 2)
        ],
        outputs=[Output(product_type="IW_RAW__0S", family="L0_SEGMENT", pattern=".*")],
    )
    file = tmp_path / "JobOrder.xml"
    file.write_bytes(job_order_xml(order))
    read = read_job_order(file)
    assert read.station == "MTI_"
    assert read.parameters["Satellite"] == "S1A"
    assert [each.name for each in read.inputs["DSDB"]] == [each.name for each in order.inputs]
    assert read.outputs["IW_RAW__0S"] == tmp_path
    assert Order.model_validate_json(order.model_dump_json(by_alias=True)) == order


GML = """<f xmlns:gml="http://www.opengis.net/gml"><gml:Polygon><gml:outerBoundaryIs><gml:LinearRing>
<gml:coordinates>0,0 10,0 10,5 0,5 0,0</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon>
<gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>20 0 20 10 30 10 30 0 20 0</gml:posList></gml:LinearRing>
</gml:exterior></gml:Polygon></f>"""


def chunks(text: str) -> Iterator[bytes]:
    data = text.encode()
    return (data[place : place + 17] for place in range(0, len(data), 17))


def test_masks_are_polygons_of_longitude_and_latitude() -> None:
    first, second = read_mask(chunks(GML), "mask")
    assert first.bounds == (0, 0, 10, 5)
    assert second.bounds == (0, 20, 10, 30)


@pytest.mark.parametrize("text", ["<a/>", "<a>", "", GML.replace("10,0", "x,0"), GML.replace("posList", "pos")])
def test_a_mask_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(MaskError, match="mask"):
        list(read_mask(chunks(text), "mask"))
