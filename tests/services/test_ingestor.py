"""The ingestor as users have it: the process, with real PostgreSQL, S3 and clamd, by the client tuspy."""

import hashlib
import socket
import ssl
import threading
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import HttpUrl
from sqlalchemy import text
from tests.means.clamd import EICAR
from tests.means.generator import generate
from tests.services.conftest import wait_until
from tests.services.ingesting import Ingestion
from tests.services.uploading import MAX_BYTES, UPLOADS_PER_USER, Uploading, identifier
from tusclient.exceptions import TusCommunicationError

from refsys.services.catalogue.service import Catalogue
from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.families import UPLOADS_BUCKET
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, CatalogEvent, CatalogJob
from refsys.services.common.settings import IngestorSettings, KafkaSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import Scanner
from refsys.services.components.stations import AUXILIARY_INBOXES
from refsys.services.distribution.auth import OPERATOR
from refsys.services.distribution.publisher import publish
from refsys.services.ingestion.stations import Inbox, S3Station
from refsys.services.ingestor.api import PREFIX
from refsys.services.ingestor.processing import Processing
from refsys.services.ingestor.rules import STATION
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.tables import ACCEPTED
from refsys.services.ingestor.uploads import Uploads

pytest_plugins = ("tests.services.ingesting", "tests.services.uploading")

PATCH = {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def offered(tmp_path: Path) -> list[Path]:
    """An orbit file, an archive of each mission, and a memory configuration."""
    return generate(tmp_path / "offered", 5, size=400_000)


@pytest.fixture
def handed_over_station(s3: S3Settings) -> S3Station:
    """The bucket of uploads as an environment has it in its stations file."""
    return S3Station(
        name=STATION,
        url=HttpUrl(str(s3.endpoint)),
        bucket=UPLOADS_BUCKET,
        access_key_file=s3.access_key_file,
        secret_key_file=s3.secret_key_file,
        ca_file=s3.ca_file,
        history_days=None,
        inboxes=[Inbox.model_validate(each) for each in AUXILIARY_INBOXES],
    )


def objects(store: ObjectStore) -> dict[str, bytes]:
    found = {}
    for item in store.list(UPLOADS_BUCKET):
        with store.open(UPLOADS_BUCKET, item.key) as file:
            found[item.key] = file.read()
    return found


def metadata(**values: str) -> dict[str, str]:
    return {"Upload-Metadata": ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())}


def announced(path: Path, size: int | None = None) -> dict[str, str]:
    """Headers that create an upload of a file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    length = {"Upload-Length": str(path.stat().st_size if size is None else size)}
    return length | metadata(filename=path.name, checksum=f"SHA-256 {digest}")


def created(client: httpx.Client, path: Path) -> str:
    answer = client.post(PREFIX, headers=announced(path))
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"].rpartition("/")[2]


def offset(client: httpx.Client, upload: str) -> int:
    answer = client.head(f"{PREFIX}/{upload}")
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def test_uploads_are_published_and_their_fate_is_told_to_the_end(  # noqa: PLR0917  # fixtures
    uploading: Uploading,
    offered: list[Path],
    handed_over_station: S3Station,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    ids = {}
    for path in offered:
        ids[path] = uploading.upload(path)
        accepted = uploading.wait(ids[path], "ACCEPTED")
        assert list(accepted["times"]) == ["created", "received", "checked", "accepted"]
    assert objects(store) == {f"{ids[path]}/{path.name}": path.read_bytes() for path in offered}
    assert list(uploading.volume.iterdir()) == []
    chain = ingestion(handed_over_station)
    assert chain.poll(STATION) == len(offered)
    assert chain.poll(STATION) == 0
    assert uploading.status(ids[offered[0]])["state"] == "ACCEPTED"
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == len(offered), what="all stored")
    assert uploading.status(ids[offered[0]])["state"] == "INGESTED"
    wait_until(lambda: not [*store.list(UPLOADS_BUCKET)], 60, "objects that were ingested to go")
    jobs = [CatalogJob.model_validate_json(item) for item in chain.bus.read(CATALOG_JOB, len(offered))]
    for job in jobs:
        path = next(path for path in offered if path.name == job.key_object_storage)
        bucket, key = job.storage_path.removeprefix("s3://").split("/")
        with store.open(bucket, key) as file:
            assert file.read() == path.read_bytes()
    catalogue = Catalogue(uploading.engine, store, Producer(kafka_settings("catalogue"), "catalogue"))
    for job in jobs:
        catalogue.handle(job)
    catalogue.producer.flush()
    assert uploading.status(ids[offered[0]])["state"] == "CATALOGUED"
    for item in chain.bus.read(CATALOG_EVENT, len(offered)):
        event = CatalogEvent.model_validate_json(item)
        publish(uploading.engine, event)
        path = next(path for path in offered if path.name == event.key_object_storage)
        fate = uploading.status(ids[path])
        assert (fate["state"], fate["productId"]) == ("PUBLISHED", str(event.product_id))
        assert list(fate["times"])[-3:] == ["ingested", "catalogued", "published"]
        assert list(fate["times"].values()) == sorted(fate["times"].values())
    with uploading.client() as client:
        listed = client.get(PREFIX).json()["uploads"]
    assert [each["id"] for each in listed] == [ids[path] for path in reversed(offered)]


def test_what_the_catalogue_or_the_ingestion_refuses_is_told(  # noqa: PLR0917  # fixtures
    uploading: Uploading,
    offered: list[Path],
    handed_over_station: S3Station,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
) -> None:
    orbit = offered[0]
    first = uploading.upload(orbit)
    uploading.wait(first, "ACCEPTED")
    chain = ingestion(handed_over_station)
    with chain.run_worker():
        assert chain.poll(STATION) == 1
        wait_until(lambda: chain.count("STORED") == 1, what="the first")
        orbit.write_bytes(orbit.read_bytes() + b"\n<!-- other content of the same name -->")
        second = uploading.upload(orbit)
        uploading.wait(second, "ACCEPTED")
        assert chain.poll(STATION) == 1
        refused = uploading.wait(second, "REFUSED")
    assert "another content is stored under this name" in refused["reason"]
    (job,) = [CatalogJob.model_validate_json(item) for item in chain.bus.read(CATALOG_JOB, 1)]
    catalogue = Catalogue(uploading.engine, store, Producer(kafka_settings("catalogue"), "catalogue"))
    bucket, key = job.storage_path.removeprefix("s3://").split("/")
    store.put(bucket, key, [b"<broken"], 7)
    with pytest.raises(RejectedError):
        catalogue.handle(job)
    invalid = uploading.status(first)
    assert invalid["state"] == "INVALID"
    assert "malformed" in invalid["reason"]


def test_an_upload_is_resumed_where_it_was_cut(uploading: Uploading, offered: list[Path], store: ObjectStore) -> None:
    archive = offered[4]
    size = archive.stat().st_size
    cut = uploading.uploader(archive, chunk_size=70_000)
    cut.upload(stop_at=140_000)
    assert uploading.status(identifier(cut))["state"] == "RECEIVING"
    # A connection that breaks in the middle of a request: what arrived counts.
    trusted = ssl.create_default_context(cafile=str(uploading.ca_file))
    sent = archive.read_bytes()[140_000:200_000]
    head = f"PATCH {PREFIX}/{identifier(cut)} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\n"
    head += f"Upload-Offset: 140000\r\nContent-Length: {size - 140_000}\r\nContent-Type: {PATCH['Content-Type']}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in uploading.headers().items())
    raw = socket.create_connection(("localhost", uploading.port))
    with trusted.wrap_socket(raw, server_hostname="localhost") as connection, uploading.client() as client:
        connection.sendall(f"{head}\r\n".encode() + sent)
        wait_until(lambda: offset(client, identifier(cut)) == 200_000, what="what was sent")
        other = client.patch(
            f"{PREFIX}/{identifier(cut)}", headers=PATCH | {"Upload-Offset": "200000"}, content=b"from elsewhere"
        )
        assert other.status_code == 423
    resumed = uploading.uploader(archive, url=str(cut.url), chunk_size=70_000, retries=5, retry_delay=1)
    assert resumed.offset == 200_000
    resumed.upload()
    uploading.wait(identifier(cut), "ACCEPTED")
    assert objects(store) == {f"{identifier(cut)}/{archive.name}": archive.read_bytes()}


def test_a_killed_process_loses_no_byte_of_an_upload(
    uploading: Uploading, offered: list[Path], store: ObjectStore
) -> None:
    archive = offered[4]
    content = archive.read_bytes()
    with uploading.client() as client:
        upload, killed = created(client, archive), threading.Event()

        def slowly() -> Iterator[bytes]:
            yield content[:150_000]
            killed.wait(60)
            yield content[150_000:]

        def send() -> None:
            with uploading.client() as sender, pytest.raises(httpx.TransportError):
                headers = PATCH | {"Upload-Offset": "0", "Content-Length": str(len(content))}
                sender.patch(f"{PREFIX}/{upload}", headers=headers, content=slowly())

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        wait_until(lambda: offset(client, upload) == 150_000, what="the first half")
    uploading.kill()
    killed.set()
    sending.join(30)
    uploading.start()
    uploading.stop_clamd()
    resumed = uploading.uploader(archive, url=f"{uploading.base}{PREFIX}/{upload}", chunk_size=100_000)
    assert resumed.offset == 150_000
    resumed.upload()
    wait_until(lambda: "clamd" in uploading.wait(upload, "SCANNING")["reason"], what="the scan to wait")
    uploading.kill()
    uploading.start_clamd()
    uploading.start()
    uploading.wait(upload, "ACCEPTED")
    assert objects(store) == {f"{upload}/{archive.name}": content}
    assert list(uploading.volume.iterdir()) == []


def test_bytes_that_were_complete_when_the_process_was_killed_are_taken(
    uploading: Uploading, offered: list[Path]
) -> None:
    with uploading.client() as client:
        upload = created(client, offered[0])
    uploading.kill()
    (uploading.volume / upload).write_bytes(offered[0].read_bytes())  # the last byte came, nothing else was done
    (uploading.volume / "stray").write_bytes(b"of no upload")
    uploading.start()
    uploading.wait(upload, "ACCEPTED")
    assert list(uploading.volume.iterdir()) == []


def test_a_kill_between_hand_over_and_its_record_makes_one_file(  # noqa: PLR0917  # fixtures
    uploading: Uploading,
    offered: list[Path],
    handed_over_station: S3Station,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with uploading.client() as client:
        upload = created(client, offered[0])
    uploading.kill()
    uploads = Uploads(uploading.engine, IngestorSettings(folder=uploading.volume))
    volume = Volume(uploads, lambda: None)
    volume.path(upload).write_bytes(offered[0].read_bytes())
    worker = Processing(uploads, volume, Scanner("127.0.0.1", uploading.clamd_port), store)
    whole = uploads.move

    def killed(*given: str) -> bool:
        if ACCEPTED in given:
            raise KeyboardInterrupt
        return whole(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(uploads, "move", killed)
        worker.work(threading.Event())
    chain = ingestion(handed_over_station)
    assert chain.poll(STATION) == 1  # it was handed over already
    assert uploading.engine.connect().execute(text("SELECT state FROM ingestor.upload")).scalar_one() == "SCANNING"
    time.sleep(1.1)  # the object gets another date
    worker.work(threading.Event())
    assert chain.poll(STATION) == 0
    assert [*objects(store)] == [f"{upload}/{offered[0].name}"]
    with chain.run_worker():
        wait_until(lambda: chain.count("STORED") == 1, what="the file")
    worker.tidy()
    assert objects(store) == {}


def test_wrong_files_are_refused_with_a_reason(
    uploading: Uploading, offered: list[Path], store: ObjectStore, tmp_path: Path
) -> None:
    orbit, archive = offered[0], offered[4]
    infected = tmp_path / orbit.name
    infected.write_bytes(orbit.read_bytes().replace(b"</Data_Block>", b"<!--" + EICAR + b"--></Data_Block>"))
    packed = tmp_path / archive.name
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bad:
        for member in good.infolist():
            bad.writestr(member, good.read(member))
        bad.writestr("notes.txt", EICAR)
    broken = tmp_path / "broken" / orbit.name
    broken.parent.mkdir()
    broken.write_bytes(orbit.read_bytes()[:-100])
    for upload, reason in (
        (uploading.upload(orbit, f"MD5 {'0' * 32}"), f"announced was {'0' * 32}"),
        (uploading.upload(broken), "XML is malformed"),
        (uploading.upload(infected), "virus scan found Eicar-Test-Signature"),
        (uploading.upload(packed), "virus scan found Eicar-Test-Signature"),
    ):
        refused = uploading.wait(upload, "REFUSED")
        assert reason in refused["reason"]
        with uploading.client() as client:
            assert client.head(f"{PREFIX}/{upload}").status_code == 410
    assert objects(store) == {}
    assert list(uploading.volume.iterdir()) == []


def test_nothing_passes_unscanned_while_clamd_is_away(
    uploading: Uploading, offered: list[Path], store: ObjectStore
) -> None:
    uploading.stop_clamd()
    upload = uploading.upload(offered[0])
    wait_until(lambda: "does not answer" in uploading.wait(upload, "SCANNING")["reason"], what="the reason")
    time.sleep(3)
    assert uploading.status(upload)["state"] == "SCANNING"
    assert objects(store) == {}
    uploading.start_clamd()
    assert uploading.wait(upload, "ACCEPTED")["reason"] == ""


def test_creation_refuses_what_will_not_be_taken(uploading: Uploading, offered: list[Path]) -> None:
    name, digest = offered[0].name, f"SHA-256 {'0' * 64}"
    length = {"Upload-Length": "10"}
    cases: list[tuple[dict[str, str], int, str]] = [
        (length | metadata(filename="../x.EOF", checksum=digest), 400, "path in it"),
        (length | metadata(filename="S1A_report.pdf", checksum=digest), 400, "none of the known conventions"),
        (length | metadata(checksum=digest), 400, "filename"),
        (length | metadata(filename=name), 400, "checksum is an algorithm"),
        (length | metadata(filename=name, checksum="SHA-256 12"), 400, "64 hexadecimal digits"),
        (length, 400, "filename"),
        ({"Upload-Length": str(MAX_BYTES + 1)} | metadata(filename=name, checksum=digest), 413, "are allowed"),
        ({"Upload-Length": "0"} | metadata(filename=name, checksum=digest), 400, "1 or more bytes"),
        (metadata(filename=name, checksum=digest), 400, "1 or more bytes"),
        ({"Upload-Defer-Length": "1"} | metadata(filename=name, checksum=digest), 400, "extensions of tus"),
        (length | {"Upload-Concat": "final;/a /b"} | metadata(filename=name, checksum=digest), 400, "extensions"),
        (announced(offered[0]) | {"Tus-Resumable": "0.2.2"}, 412, "Tus-Resumable"),
    ]
    with uploading.client() as client:
        for headers, status, reason in cases:
            answer = client.post(PREFIX, headers=headers)
            assert answer.status_code == status, (headers, answer.text)
            assert reason in str(answer.json()["error"]), headers
        assert client.post(PREFIX, headers=announced(offered[0]), content=b"bytes").status_code == 400
        assert client.get(PREFIX).json() == {"uploads": []}
        for _ in range(UPLOADS_PER_USER):
            created(client, offered[0])
        answer = client.post(PREFIX, headers=announced(offered[0]))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "TooManyUploads")
        assert client.get(f"{PREFIX}?limit=2").json()["uploads"][0]["state"] == "RECEIVING"
        told = client.options(PREFIX)
        assert told.headers["Tus-Extension"] == "creation,expiration,termination"
        assert told.headers["Tus-Max-Size"] == str(MAX_BYTES)
    with uploading.client("another") as client:
        created(client, offered[0])  # the limit is of each user


def test_uploads_are_their_uploaders_alone(uploading: Uploading, offered: list[Path]) -> None:
    patch = PATCH | {"Upload-Offset": "0"}
    with uploading.client() as client:
        address = f"{PREFIX}/{created(client, offered[0])}"
        for wrong in ({"Content-Type": "text/plain"}, {"Tus-Resumable": "2"}, {"Upload-Offset": "1"}):
            assert client.patch(address, headers=patch | wrong, content=b"x").status_code in {409, 412, 415}
    with uploading.client("another") as other:
        assert other.get(f"{address}/status").status_code == 404
        assert other.head(address).status_code == 404
        assert other.patch(address, headers=patch, content=b"x").status_code == 404
        assert other.delete(address).status_code == 404
        override = {"X-HTTP-Method-Override": "PATCH"} | patch
        assert other.post(address, headers=override, content=b"x").status_code == 404
        assert other.get(PREFIX).json() == {"uploads": []}
        assert other.get(f"{PREFIX}/..%2f..%2fetc/status").status_code == 404
    with uploading.client("watching", [OPERATOR]) as operator:
        assert operator.get(f"{address}/status").json()["user"] == "demo"
        assert operator.patch(address, headers=patch, content=b"x").status_code == 403
        assert operator.delete(address).status_code == 403
    with uploading.client("nobody", []) as nobody:
        assert nobody.get(f"{address}/status").status_code == 403
        assert nobody.post(PREFIX, headers=announced(offered[0])).status_code == 403
    with uploading.client() as client:
        del client.headers["Authorization"]
        assert client.patch(address, headers=patch, content=b"x").status_code == 401
        assert client.get(f"{address}/status").status_code == 401
    with uploading.client() as client:
        assert client.get(f"{address}/status").json()["state"] == "RECEIVING"
        assert client.head(address).headers["Upload-Offset"] == "0"  # not one of them wrote a byte
    assert all(path.stat().st_size == 0 for path in uploading.volume.iterdir())


def test_uploads_are_withdrawn_and_expire(uploading: Uploading, offered: list[Path]) -> None:
    with uploading.client() as client:
        first, second = created(client, offered[0]), created(client, offered[0])
        for upload in (first, second):
            headers = PATCH | {"Upload-Offset": "0"}
            assert client.patch(f"{PREFIX}/{upload}", headers=headers, content=b"<x").status_code == 204
        assert client.delete(f"{PREFIX}/{first}").status_code == 204
        assert "withdrawn" in uploading.wait(first, "REFUSED")["reason"]
        assert client.delete(f"{PREFIX}/{first}").status_code == 410
        uploading.execute(f"UPDATE ingestor.upload SET expires = now() - interval '1 s' WHERE id = '{second}'")  # noqa: S608
        late = client.patch(f"{PREFIX}/{second}", headers=PATCH | {"Upload-Offset": "2"}, content=b"/>")
        assert late.status_code == 410
        assert "expired" in uploading.wait(second, "REFUSED")["reason"]
    wait_until(lambda: not list(uploading.volume.iterdir()), what="the bytes to go")
    with pytest.raises(TusCommunicationError):
        uploading.uploader(offered[0], url=f"{uploading.base}{PREFIX}/{second}")
