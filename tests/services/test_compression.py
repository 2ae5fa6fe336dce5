"""Compression on real Kafka, PostgreSQL and S3: archives made and unpacked, once, by priority, whoever is killed."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from tests.means.chain import kafka_variables, s3_variables
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.means.processes import free_port
from tests.services.conftest import CHECKOUT, Bus, wait_until
from tests.services.published import event

from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.families import BUCKETS, storage_path
from refsys.services.common.messages import (
    CATALOG_EVENT,
    COMPRESSION_EVENT,
    COMPRESSION_JOB_HIGH,
    COMPRESSION_JOB_LOW,
    ERROR_WARNING,
    CatalogEvent,
    CompressionEvent,
    CompressionJob,
)
from refsys.services.common.process import Process
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings
from refsys.services.common.store import MIB, ObjectStore
from refsys.services.compression import filter as message_filter
from refsys.services.compression import ledger, worker
from refsys.services.compression.filter import job_of
from refsys.services.compression.gate import Gate
from refsys.services.compression.reaper import reap
from refsys.services.compression.rules import topic_of
from refsys.services.distribution import publisher

S1 = "S1A_IW_RAW__0SDV_20171213T121623_20171213T121656_019684_021735_C6DB.SAFE"
S2 = "S2A_OPER_MSI_L0__GR_SGS__20191001T101733_S20191001T083650_D01_N02.08"
S3_NAME = "S3A_OL_0_EFR____20171213T121623_20171213T121656_20171213T131656_0033_025_052______LN1_O_NR_002.SEN3"
PAIR = "S2__OPER_AUX_ECMWFD_PDMC_20171213T143838_V20171213T102737_20171213T134507"
FILES = {"manifest.safe": b"<x/>", "data/a.dat": os.urandom(5 * MIB), "data/b.dat": b"text " * 700_000}
InThread = Callable[[Callable[[], None]], AbstractContextManager[None]]


def put_folder(store: ObjectStore, name: str, family: str, files: dict[str, bytes] | None = None) -> CatalogEvent:
    """Store a product as a folder of objects; returns its catalogue event."""
    files = FILES if files is None else files
    for path, content in files.items():
        store.put(BUCKETS[family], f"{name}/{path}", iter([content]), len(content))
    size = sum(map(len, files.values()))
    return event(
        name, product_family=family, product_size_byte=size, storage_path=storage_path(family, name), checksums=[]
    )


def put_file(store: ObjectStore, name: str, family: str, content: bytes) -> CatalogEvent:
    store.put(BUCKETS[family], name, iter([content]), len(content))
    return event(name, content, product_family=family, storage_path=storage_path(family, name))


def read(store: ObjectStore, path: str) -> bytes:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return b"".join(store.read(bucket, key))


class Flushing(worker.Worker):
    """What it sends is at the broker when a job is done."""

    def handle(self, job: CompressionJob) -> None:
        super().handle(job)
        self.producer.flush()


@pytest.fixture
def direct(
    engine: Engine, store: ObjectStore, kafka_settings: Callable[[str], KafkaSettings]
) -> Callable[..., worker.Worker]:
    """Makes a worker that is called by the test itself."""

    def make(**changes: Any) -> worker.Worker:
        stop = threading.Event()
        producer = Producer(kafka_settings("compression-worker"), "compression-worker")
        values: dict[str, Any] = {"stop": stop, "topic": COMPRESSION_JOB_LOW, "gate": Gate(worker.WEIGHTS, 2, stop)}
        return Flushing(engine=engine, store=store, producer=producer, **(values | changes))

    return make


def job(given: CatalogEvent) -> CompressionJob:
    made = job_of(given)
    assert made is not None
    return made


def events(bus: Bus, expected: int) -> list[CompressionEvent]:
    return [CompressionEvent.model_validate_json(each) for each in bus.read(COMPRESSION_EVENT, expected)]


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM compression.job ORDER BY output_path")).mappings())


@pytest.mark.parametrize(
    ("name", "family", "suffix", "bucket"),
    [
        (S1, "L0_SLICE", ".zip", "rs-s1-l0-slices-zip"),
        (S2, "S2_L0_GR", ".tar", "rs-s2-l0-gr-zip"),
        (S3_NAME, "S3_L0", ".zip", "rs-s3-l0-zip"),
    ],
)
def test_a_folder_becomes_an_archive_and_is_published(  # noqa: PLR0917  # fixtures
    name: str,
    family: str,
    suffix: str,
    bucket: str,
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    direct: Callable[..., worker.Worker],
) -> None:
    given = put_folder(store, name, family)
    direct().handle(job(given))
    (made,) = events(bus, 1)
    assert made.key_object_storage == name + suffix
    assert made.storage_path == f"s3://{bucket}/{name}{suffix}"
    assert (made.product_family, made.product_id) == (f"{family}_ZIP", given.product_id)
    packed = read(store, made.storage_path)
    assert made.product_size_byte == len(packed)
    checksums = {each.algorithm: each.value for each in made.checksums}
    assert checksums["MD5"] == hashlib.md5(packed).hexdigest()  # noqa: S324
    assert checksums["SHA-256"] == hashlib.sha256(packed).hexdigest()
    if suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            found = {each: archive.read(each) for each in archive.namelist()}
    else:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive_tar:
            found = {each.name: content_of(archive_tar, each) for each in archive_tar}
    assert found == {f"{name}/{path}": content for path, content in FILES.items()}
    publisher.publish(engine, made)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT name, bucket, object_key, id FROM distribution.product")).one()
    assert tuple(row) == (name + suffix, bucket, name + suffix, given.product_id)


def content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def test_the_same_job_again_sends_the_same_event(
    engine: Engine, store: ObjectStore, bus: Bus, direct: Callable[..., worker.Worker]
) -> None:
    made = job(put_folder(store, S1, "L0_SLICE"))
    work = direct()
    work.handle(made)
    (row,) = rows(engine)
    before = read(store, row["output_path"])
    work.handle(made)
    assert rows(engine) == [row]
    first, second = bus.read(COMPRESSION_EVENT, 2)
    assert first == second
    store.delete("rs-s1-l0-slices-zip", f"{S1}.zip")  # a lost output is made anew, of the same bytes
    work.handle(made)
    assert read(store, row["output_path"]) == before
    with pytest.raises(RejectedError, match="was made of"):
        work.handle(made.model_copy(update={"product_size_byte": 1}))


def test_a_pair_waits_for_its_data_block(
    engine: Engine, store: ObjectStore, bus: Bus, direct: Callable[..., worker.Worker]
) -> None:
    made = job(put_file(store, f"{PAIR}.HDR", "S2_AUX", b"<header/>"))
    work = direct()
    work.handle(made)
    (row,) = rows(engine)
    assert (row["state"], row["topic"]) == ("WAITING", COMPRESSION_JOB_LOW)
    assert f"{PAIR}.DBL is not there yet" in row["reason"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE compression.job SET retry_at = now() - interval '1 second'"))
    ((topic, again),) = ledger.take_due(engine)
    assert (topic, again) == (COMPRESSION_JOB_LOW, made)
    assert ledger.take_due(engine) == []
    store.put("rs-s2-aux", f"{PAIR}.DBL", iter([b"data" * 100]), 400)
    work.handle(again)
    (done,) = events(bus, 1)
    assert done.key_object_storage == f"{PAIR}.TGZ"
    with tarfile.open(fileobj=io.BytesIO(read(store, done.storage_path)), mode="r:gz") as archive:
        assert archive.getnames() == [f"{PAIR}.HDR", f"{PAIR}.DBL"]


def test_after_a_day_a_pair_is_given_up(
    engine: Engine, store: ObjectStore, direct: Callable[..., worker.Worker]
) -> None:
    made = job(put_file(store, f"{PAIR}.HDR", "S2_AUX", b"<header/>"))
    direct().handle(made)
    with engine.begin() as connection:
        connection.execute(text("UPDATE compression.job SET first_started = now() - interval '25 hours'"))
    with pytest.raises(RejectedError, match="not there yet"):
        direct().handle(made)
    assert rows(engine)[0]["state"] == "FAILED"


@pytest.mark.parametrize(("suffix", "mode"), [(".zip", ""), (".tar", "w"), (".TGZ", "w:gz")])
def test_an_archive_is_unpacked(
    suffix: str, mode: str, store: ObjectStore, bus: Bus, direct: Callable[..., worker.Worker]
) -> None:
    buffer = io.BytesIO()
    if mode:
        with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
            for path, content in FILES.items():
                info = tarfile.TarInfo(f"{S1}/{path}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive_zip:
            for path, content in FILES.items():
                archive_zip.writestr(f"{S1}/{path}", content)
    direct().handle(job(put_file(store, S1 + suffix, "L0_SLICE", buffer.getvalue())))
    (made,) = events(bus, 1)
    assert made.storage_path == f"s3://rs-s1-l0-slices/{S1}/"
    assert made.product_size_byte == sum(map(len, FILES.values()))
    found = {
        each.key: read(store, f"s3://rs-s1-l0-slices/{each.key}") for each in store.list_folder("rs-s1-l0-slices", S1)
    }
    assert found == {f"{S1}/{path}": content for path, content in FILES.items()}


def test_a_hostile_archive_leaves_nothing(
    engine: Engine, store: ObjectStore, direct: Callable[..., worker.Worker]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("good", "../../bad"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"four"))
    with pytest.raises(RejectedError, match="leads out of the archive"):
        direct().handle(job(put_file(store, f"{S1}.tar", "L0_SLICE", buffer.getvalue())))
    assert [each.key for each in store.list_folder("rs-s1-l0-slices", S1)] == []
    assert (rows(engine)[0]["state"], "leads out" in rows(engine)[0]["reason"]) == ("FAILED", True)


def test_a_job_out_of_time_leaves_nothing(
    engine: Engine, store: ObjectStore, direct: Callable[..., worker.Worker]
) -> None:
    made = job(put_folder(store, S1, "L0_SLICE"))
    with pytest.raises(RejectedError, match="not finished after 0 s"):
        direct(timeout_seconds=0.01).handle(made)
    assert store.head("rs-s1-l0-slices-zip", f"{S1}.zip") is None
    assert rows(engine)[0]["state"] == "FAILED"
    direct().handle(made)
    assert (rows(engine)[0]["state"], rows(engine)[0]["attempts"]) == ("DONE", 2)


def test_an_incomplete_product_is_not_packed(store: ObjectStore, direct: Callable[..., worker.Worker]) -> None:
    given = put_folder(store, S1, "L0_SLICE")
    store.delete("rs-s1-l0-slices", f"{S1}/data/a.dat")
    with pytest.raises(RejectedError, match="are catalogued"):
        direct().handle(job(given))


@pytest.fixture
def run(
    engine: Engine,
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
) -> Callable[[str], tuple[Process, Gate, Callable[[], None]]]:
    """A process and what runs it, by name."""

    def make(name: str, slots: int = 2) -> tuple[Process, Gate, Callable[[], None]]:
        process, kafka = new_process(name), kafka_settings(name)
        gate = Gate(worker.WEIGHTS, slots, process.stop)
        runs: dict[str, Callable[[], None]] = {
            "compression-filter": lambda: message_filter.consume(process, kafka),
            "compression-worker": lambda: worker.consume(process, kafka, engine, store, gate),
            "publisher": lambda: publisher.consume(process, kafka, engine),
        }
        return process, gate, runs[name]

    return make


def test_from_catalogue_to_publication(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    kafka_settings: Callable[[str], KafkaSettings],
    run: Callable[..., tuple[Process, Gate, Callable[[], None]]],
    in_thread: InThread,
) -> None:
    """Filter, worker and publisher together: folders are published as archives, all others directly, each once."""
    eof = "S1A_OPER_AUX_RESORB_OPOD_20240101T000000_V20240101T000000_20240101T010000.EOF"
    folder = put_folder(store, S1, "L0_SLICE", {"manifest.safe": b"<x/>"})
    single = put_file(store, eof, "AUXILIARY_FILE", b"<x/>")
    ready = put_file(store, f"{S1[:-9]}ABCD.SAFE.zip", "L0_SLICE", zip_bytes())
    catalogue = Producer(kafka_settings("catalogue"), "catalogue")
    filtering, working, publishing = run("compression-filter"), run("compression-worker"), run("publisher")

    def published() -> set[str]:
        with engine.connect() as connection:
            return set(connection.execute(text("SELECT name FROM distribution.product")).scalars())

    with in_thread(filtering[2]), in_thread(working[2]), in_thread(publishing[2]):
        for each in (folder, single, ready, folder):
            catalogue.send(CATALOG_EVENT, each, each.key())
        catalogue.flush()
        wait_until(lambda: published() == {f"{S1}.zip", eof, ready.key_object_storage}, 60, "publication")
        done = {each.key_object_storage for each in events(bus, 3)}
        for process, _, _ in (filtering, working, publishing):
            process.stop.set()
    assert done == {f"{S1}.zip", ready.key_object_storage.removesuffix(".zip")}
    assert len(published()) == 3
    assert bus.read(ERROR_WARNING, 0, seconds=2) == []


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.safe", "<x/>")
    return buffer.getvalue()


def test_priorities_over_kafka(  # fixtures
    engine: Engine,
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
    run: Callable[..., tuple[Process, Gate, Callable[[], None]]],
    in_thread: InThread,
) -> None:
    """One slot, 20 low jobs queued before 24 high ones: the high ones overtake, the low ones have their share."""
    producer = Producer(kafka_settings("compression-filter"), "compression-filter")
    for number in range(44):
        name = f"{S1[:-9]}{number:04X}.SAFE"
        given = put_folder(store, name, "L0_SLICE", {"a": b"x"})
        made = job(given.model_copy(update={"timeliness": "PT" if number >= 20 else ""}))
        producer.send(topic_of(made), made, made.key())
    producer.flush()
    process, gate, consume = run("compression-worker", slots=1)
    with in_thread(consume):
        with gate.slot(COMPRESSION_JOB_HIGH):  # the only one, until jobs of both priorities wait
            wait_until(lambda: all(gate._waiting[each] for each in (COMPRESSION_JOB_HIGH, COMPRESSION_JOB_LOW)), 60)
        wait_until(lambda: [row["state"] for row in rows(engine)].count("DONE") == 44, 90, "44 jobs")
        process.stop.set()
    is_high = [row["topic"] == COMPRESSION_JOB_HIGH for row in sorted(rows(engine), key=lambda row: row["started"])]
    last_high = 43 - is_high[::-1].index(True)
    assert is_high[:13].count(True) >= 9, is_high
    assert is_high[:last_high].count(False) >= 1
    assert last_high < 43


def test_killed_in_mid_job(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    s3: S3Settings,
    s3_server: S3,
    database: DatabaseSettings,
    kafka_server: Kafka,
    kafka_settings: Callable[[str], KafkaSettings],
    bus: Bus,
    tmp_path: Path,
) -> None:
    """SIGKILL while it uploads: nothing to see of the output; the next worker makes it; the rest is reaped."""
    content = os.urandom(MIB) * 96
    made = job(put_folder(store, S1, "L0_SLICE", {f"{number}.dat": content for number in range(3)}))
    producer = Producer(kafka_settings("compression-filter"), "compression-filter")
    producer.send(topic_of(made), made, made.key())
    producer.flush()
    port = free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_OPERATIONS_PORT": str(port),
        **s3_variables(s3_server),
        **kafka_variables(kafka_server, "compression-worker"),
    }
    bucket = "rs-s1-l0-slices-zip"

    def start() -> "subprocess.Popen[bytes]":
        with (tmp_path / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "refsys.services", "compression-worker"], env=variables, stdout=log, stderr=log
            )

    def uploading() -> bool:
        return bool(parts())

    def parts() -> list[Path]:
        return [path for path in (s3_server.folder / bucket).rglob("*") if ".sgwtmp" in str(path) and path.is_file()]

    first = start()
    try:
        wait_until(uploading, 60, "upload")
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.wait(30)
    assert store.head(bucket, f"{S1}.zip") is None
    assert rows(engine)[0]["state"] == "RUNNING"
    second = start()
    try:
        wait_until(lambda: rows(engine)[0]["state"] == "DONE", 120, "second worker")
        (done,) = events(bus, 1)
        peak = next(line for line in Path(f"/proc/{second.pid}/status").read_text().splitlines() if "VmHWM" in line)
        assert int(peak.split()[1]) < 256 * 1024
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    finally:
        second.kill()
        second.wait(30)
    with store.open(bucket, f"{S1}.zip", MIB) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
    assert done.product_size_byte == rows(engine)[0]["size"]
    assert parts()
    reap(s3, threading.Event(), max_age="1s")
    assert parts() == []
    assert [each.key for each in store.list_folder(bucket, "")] == [f"{S1}.zip"]
