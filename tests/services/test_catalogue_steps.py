"""Products of all missions through the catalogue step, on real PostgreSQL, Kafka and S3; and how fast it is."""

import cProfile
import os
import pstats
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, select
from tests.means import product_documents as made
from tests.means.documents import Times, memory_configuration
from tests.means.generator import generate
from tests.means.products import tar_product, zip_product
from tests.services.conftest import Bus

from refsys.services.catalogue.service import Catalogue
from refsys.services.catalogue.tables import INVALID, VALID, Product
from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.digests import Digests
from refsys.services.common.families import Family, storage_path
from refsys.services.common.messages import CATALOG_EVENT, CatalogEvent, CatalogJob, Trace, utc_now
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.search.repository import Catalogued
from refsys.services.search.retry import job_of

START, STOP, CREATED = datetime(2024, 1, 2, 3, 4, 5), datetime(2024, 1, 2, 3, 4, 25), datetime(2024, 1, 3)
TIMES = Times(CREATED, START, STOP)
SLICE = "S1C_IW_RAW__0SDV_20240102T030405_20240102T030425_019684_021735_C6DB.SAFE.zip"


def stored(store: ObjectStore, path: Path, family: Family, satellite: str) -> CatalogJob:
    """Store a file as ingestion does; returns its job."""
    digests, content = Digests(), path.read_bytes()
    bucket = storage_path(family, path.name).split("/")[2]
    store.put(bucket, path.name, digests.of([content]), len(content))
    return CatalogJob(
        mission_id=satellite[:2],
        satellite_id=satellite,
        key_object_storage=path.name,
        storage_path=storage_path(family, path.name),
        product_family=family,
        product_size_byte=len(content),
        station_name="MTI_",
        checksums=digests.checksums(utc_now()),
        trace=Trace(station_publication=datetime(2024, 1, 4, tzinfo=UTC), stored=utc_now()),
    )


@pytest.fixture
def catalogue(engine: Engine, store: ObjectStore, kafka_settings: Callable[[str], KafkaSettings]) -> Catalogue:
    return Catalogue(engine, store, Producer(kafka_settings("catalogue"), "catalogue"))


def row_of(engine: Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(select(Product.__table__).where(Product.name == name)).mappings().one()


def test_products_of_all_missions_have_what_searches_select_by(
    tmp_path: Path, catalogue: Catalogue, engine: Engine, store: ObjectStore, bus: Bus
) -> None:
    tile = "S2C_OPER_MSI_L1C_TL_MTI__20240103T000000_A022326_T36UXV_N05.10"
    olci = "S3D_OL_1_EFR____20240102T030405_20240102T030425_20240103T000000_0179_100_022_1980_PS1_O_NR_004.SEN3.zip"
    block = tmp_path / "DCS_02_L20240102030405707000125_ch1_DSDB_00001.raw"
    block.write_bytes(b"raw")
    information = tmp_path / "DCS_02_L20240102030405707000125_ch1_DSIB.xml"
    information.write_text(made.session_information("L20240102030405707000125", 1, START, STOP, 1))
    files = [
        (zip_product(tmp_path / SLICE, manifest_safe=made.s1_manifest("C", TIMES)), Family.L0_SLICE, "S1C"),
        (
            tar_product(tmp_path / f"{tile}.tar", Inventory_Metadata_xml=made.s2_inventory(tile, "MSI_L1C_TL", TIMES)),
            Family.S2_L1C_TL,
            "S2C",
        ),
        (
            zip_product(tmp_path / olci, xfdumanifest_xml=made.s3_manifest("D", "OL_1_EFR___", TIMES)),
            Family.S3_L1_NRT,
            "S3D",
        ),
        (information, Family.EDRS_SESSION, "S1A"),
        (block, Family.EDRS_SESSION, "S1A"),
    ]
    for path, family, satellite in files:
        catalogue.handle(stored(store, path, family, satellite))
    catalogue.producer.flush()
    slice_row = row_of(engine, SLICE)
    assert (slice_row["datatake_id"], slice_row["timeliness"]) == (137013, "NRT")
    assert (slice_row["orbit_start"], slice_row["orbit_end"]) == (19684, 19685)
    assert slice_row["generated"] == datetime(2024, 1, 3, 0, 0, 0, 500000, UTC)
    assert slice_row["footprint"]
    assert row_of(engine, olci)["details"] == {"granuleNumber": "5", "granulePosition": "FIRST"}
    for path in (information, block):
        row = row_of(engine, path.name)
        assert (row["session_id"], row["satellite"]) == ("L20240102030405707000125", "S1A")
        assert row["content_start"] == START.replace(tzinfo=UTC)
    events = {
        event.key_object_storage: event
        for event in map(CatalogEvent.model_validate_json, bus.read(CATALOG_EVENT, len(files)))
    }
    assert set(events) == {path.name for path, _, _ in files}
    assert events[SLICE].timeliness == "NRT"
    assert events[f"{tile}.tar"].content_type == "application/x-tar"
    found = {each["name"] for each in Catalogued(engine).session("L20240102030405707000125", 10, 0)}
    assert found == {information.name, block.name}


def test_the_catalogued_memory_configuration_tells_the_timeliness(
    tmp_path: Path, catalogue: Catalogue, engine: Engine, store: ObjectStore
) -> None:

    memory = tmp_path / "S1C_OPER_AUX_OBMEMC_PDMC_20240101T000000.xml"
    document = memory_configuration(CREATED, datetime(2024, 1, 1), Random(1))  # noqa: S311  # made-up data
    before, found, after = document.partition("<PacketStoreId>PS-24</PacketStoreId>")
    kind = after.split("<PacketStoreType>", 1)[1].partition("<")[0]
    memory.write_text(before + found + after.replace(f"<PacketStoreType>{kind}<", "<PacketStoreType>Standard<", 1))
    catalogue.handle(stored(store, memory, Family.AUXILIARY_FILE, "S1C"))
    path = zip_product(tmp_path / SLICE, manifest_safe=made.s1_manifest("C", TIMES))
    catalogue.handle(stored(store, path, Family.L0_SLICE, "S1C"))
    assert row_of(engine, SLICE)["timeliness"] == "FAST24"


def test_what_is_not_understood_is_kept_and_becomes_valid_when_it_can(
    tmp_path: Path, catalogue: Catalogue, engine: Engine, store: ObjectStore
) -> None:
    odd = tmp_path / "nobody knows this name.bin"
    odd.write_bytes(b"x")
    bomb = zip_product(tmp_path / SLICE, manifest_safe='<!DOCTYPE a [<!ENTITY b "c">]><XFDU>&b;</XFDU>')
    for path, reason in ((odd, "conventions"), (bomb, "document type")):
        job = stored(store, path, Family.L0_SLICE, "S1C")
        for _ in range(2):
            with pytest.raises(RejectedError, match=reason):
                catalogue.handle(job)
        row = row_of(engine, path.name)
        assert row["state"] == INVALID
        assert reason in row["reason"]
    stored(store, zip_product(tmp_path / SLICE, manifest_safe=made.s1_manifest("C", TIMES)), Family.L0_SLICE, "S1C")
    catalogue.handle(job_of(row_of(engine, SLICE)))
    assert row_of(engine, SLICE)["state"] == VALID
    assert row_of(engine, SLICE)["reason"] == ""


def test_products_per_second(tmp_path: Path, catalogue: Catalogue, store: ObjectStore) -> None:
    """One thread, in a loop; set REFSYS_PROFILE to a file to see where the time goes."""
    families = {"S1": Family.AUXILIARY_FILE, "S2": Family.S2_AUX, "S3": Family.S3_AUX}
    paths = generate(tmp_path, 50, size=50_000)
    jobs = [stored(store, path, families[path.name[:2]], path.name[:3].rstrip("_")) for path in paths]
    profile = cProfile.Profile()
    if where := os.environ.get("REFSYS_PROFILE"):
        profile.enable()
    started, used = time.monotonic(), time.process_time()
    for job in jobs:
        catalogue.handle(job)
    catalogue.producer.flush()
    seconds, processor = time.monotonic() - started, time.process_time() - used
    if where:
        profile.disable()
        with Path(where).open("w") as file:
            print(f"{len(jobs)} products, {seconds:.2f} s, {processor:.2f} s of processor", file=file)
            pstats.Stats(profile, stream=file).sort_stats("cumulative").print_stats(45)
    assert len(jobs) / processor > 10
