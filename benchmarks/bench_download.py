"""How fast the PRIP delivers a product beside the object store itself: `python benchmarks/bench_download.py`.

One large object, read in turns directly by S3 and through `$value`, over HTTPS on this machine: both by one client, and
by S3 with a client of its own (obstore) too. The peer is the faster of the two ways by S3.
"""

import hashlib
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "src")]

import httpx  # noqa: E402
import obstore  # noqa: E402
from pydantic import HttpUrl  # noqa: E402
from rich.console import Console  # noqa: E402
from tests.means import issuer  # noqa: E402
from tests.means.certificates import Authority  # noqa: E402
from tests.means.object_store import S3, object_store  # noqa: E402
from tests.means.postgresql import postgresql  # noqa: E402
from tests.means.processes import free_port, listens, running  # noqa: E402
from tests.services.published import BUCKET, event  # noqa: E402

from refsys.services.common import https, logs  # noqa: E402
from refsys.services.common.database import open_database  # noqa: E402
from refsys.services.common.operations import Health  # noqa: E402
from refsys.services.common.settings import DatabaseSettings, QuotaSettings, S3Settings  # noqa: E402
from refsys.services.common.store import ObjectStore  # noqa: E402
from refsys.services.distribution.app import create_app  # noqa: E402
from refsys.services.distribution.download import Downloads  # noqa: E402
from refsys.services.distribution.publisher import publish  # noqa: E402
from refsys.services.distribution.quotas import Quotas  # noqa: E402
from refsys.services.distribution.repository import Products  # noqa: E402
from refsys.services.migrations.upgrade import upgrade  # noqa: E402

MIB = 2**20
SIZE_MIB = 256
ROUNDS = 5
TARGET = 0.8
NAME = "S1A_LARGE.SAFE.zip"
VALUE = "$value"
VALUES = (
    "URL",
    "PASSWORD_FILE",
    "ENDPOINT",
    "CA_FILE",
    "ACCESS_KEY_FILE",
    "SECRET_KEY_FILE",
    "CERTIFICATE",
    "KEY",
    "PORT",
)


def main() -> int:
    """Measure and print; the exit code says whether the target was met."""
    logs.configure("bench", level="ERROR")
    console = Console()
    with tempfile.TemporaryDirectory(prefix="refsys-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        authority = Authority(folder / "certificates")
        s3 = stack.enter_context(object_store(folder / "s3", authority))
        server = stack.enter_context(postgresql(folder / "server"))
        server.run("CREATE DATABASE bench")
        database = DatabaseSettings(url=server.url("bench"), password_file=server.password_file)
        store, digest, product = _product(database, _settings(s3))
        port = stack.enter_context(_prip(folder, database, s3, authority))
        client = stack.enter_context(
            httpx.Client(verify=ssl.create_default_context(cafile=str(authority.ca_file)), timeout=60, trust_env=False)
        )
        signed = obstore.sign(store.bucket(BUCKET), "GET", NAME, timedelta(hours=1))
        headers = {"Authorization": (folder / "token").read_text()}
        value = f"https://localhost:{port}/odata/v1/Products({product})/$value"
        ways: dict[str, Callable[[], float]] = {
            "S3 by the same client": lambda: _seconds(_by_http(client, signed, {}), digest),
            "S3 by its own client": lambda: _seconds(_by_s3(store), digest),
            VALUE: lambda: _seconds(_by_http(client, value, headers), digest),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, measure in ways.items():
                seconds[way].append(measure())
    rates = {way: SIZE_MIB / statistics.median(each) for way, each in seconds.items()}
    ratio = rates[VALUE] / max(rate for way, rate in rates.items() if way != VALUE)
    for way, rate in rates.items():
        console.print(f"{way}: {rate:.0f} MiB/s (median of {ROUNDS} times {SIZE_MIB} MiB)")
    console.print(f"ratio {ratio:.2f}, target {TARGET}")
    return 0 if ratio >= TARGET else 1


def _settings(s3: S3) -> S3Settings:
    return S3Settings(
        endpoint=HttpUrl(s3.endpoint),
        ca_file=s3.ca_file,
        access_key_file=s3.access_key_file,
        secret_key_file=s3.secret_key_file,
    )


def _product(database: DatabaseSettings, settings: S3Settings) -> tuple[ObjectStore, str, object]:
    """Store and publish the product; return the store, the SHA-256 of its bytes and its Id."""
    engine = open_database(database, "bench")
    upgrade(engine)
    store, block = ObjectStore(settings), os.urandom(MIB)
    store.make_bucket(BUCKET)
    store.put(BUCKET, NAME, (block for _ in range(SIZE_MIB)), SIZE_MIB * MIB)
    given = event(NAME, product_size_byte=SIZE_MIB * MIB)
    publish(engine, given)
    engine.dispose()
    expected = hashlib.sha256()
    for _ in range(SIZE_MIB):
        expected.update(block)
    return store, expected.hexdigest(), given.product_id


@contextmanager
def _prip(folder: Path, database: DatabaseSettings, s3: S3, authority: Authority) -> Iterator[int]:
    """The service in a process of its own, as an environment runs it; its port."""
    certificate, port = authority.issue("prip"), free_port()
    given = (
        database.url, database.password_file, s3.endpoint, s3.ca_file, s3.access_key_file, s3.secret_key_file,
        certificate.certificate_file, certificate.key_file, port,
    )  # fmt: skip
    environment = os.environ | {f"BENCH_{name}": str(value) for name, value in zip(VALUES, given, strict=True)}
    command = [sys.executable, __file__, "serve", str(folder / "token")]
    log = folder / "prip.log"
    with running(command, log, ready=lambda: listens(port), seconds=60, environment=environment):
        yield port


def _serve(token_file: Path) -> None:
    """Serve until the process is ended, and leave a token that the service takes."""
    given = {name: os.environ[f"BENCH_{name}"] for name in VALUES}
    logs.configure("bench", level="ERROR")
    token_file.write_text(issuer.bearer()["Authorization"])
    engine = open_database(
        DatabaseSettings(url=given["URL"], password_file=Path(given["PASSWORD_FILE"])), "bench", pool_size=4
    )
    store = ObjectStore(
        S3Settings(
            endpoint=HttpUrl(given["ENDPOINT"]),
            ca_file=Path(given["CA_FILE"]),
            access_key_file=Path(given["ACCESS_KEY_FILE"]),
            secret_key_file=Path(given["SECRET_KEY_FILE"]),
        )
    )
    downloads = Downloads(store, Quotas(engine, QuotaSettings()))
    app = create_app(Products(engine), downloads, issuer.authenticator(), "https://prip.example.test", Health())
    https.server(app, Path(given["CERTIFICATE"]), Path(given["KEY"]), int(given["PORT"])).run()


def _by_http(client: httpx.Client, address: str, headers: dict[str, str]) -> Iterator[bytes]:
    with client.stream("GET", address, headers=headers) as answer:
        answer.raise_for_status()
        yield from answer.iter_raw(MIB)


def _by_s3(store: ObjectStore) -> Iterator[bytes]:
    for chunk in obstore.get(store.bucket(BUCKET), NAME).stream(min_chunk_size=MIB):
        yield bytes(chunk)


def _seconds(chunks: Iterator[bytes], digest: str) -> float:
    """Return how long the bytes took; they must be the right ones."""
    arrived, started = hashlib.sha256(), time.perf_counter()
    for chunk in chunks:
        arrived.update(chunk)
    seconds = time.perf_counter() - started
    if arrived.hexdigest() != digest:
        raise RuntimeError("other bytes arrived")
    return seconds


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        _serve(Path(sys.argv[2]))
    else:
        sys.exit(main())
