"""Metrics of years on real Prometheus, Thanos and object store; Thanos takes minutes to build where it is not there."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl
from tests.means.certificates import Authority
from tests.means.envoy import Front
from tests.means.object_store import object_store
from tests.means.prometheus import EVERY_SECOND, PROMTOOL, prometheus
from tests.means.prometheus import Prometheus as PrometheusServer
from tests.means.thanos import SECRET_KEY, Listener, Thanos
from tests.services.conftest import wait_until
from tests.services.log_store_clients import client_settings

from refsys.monitoring.components.thanos_config import prometheus_arguments
from refsys.platform.components.object_store import METRICS_ACCOUNT, METRICS_BUCKET
from refsys.services.common.bucket_policy import let_in
from refsys.services.common.messages import utc_now
from refsys.services.common.settings import PrometheusSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.metrics.prometheus import Prometheus

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

LABELS: dict[str, Any] = {"global": EVERY_SECOND | {"external_labels": {"environment": "test.example"}}}
KEEP_ALL, AS_DEPLOYED = "--storage.tsdb.retention.time=400d", "--storage.tsdb.retention.time=2d"


def written(folder: Path, start: datetime, length: timedelta, step: timedelta, longest: str) -> None:
    """Make blocks of a counter that goes up by one a minute, as promtool does."""
    lines = ["# TYPE received counter"]
    for number in range(length // step):
        at = start + number * step
        lines.append(f"received_total {int(at.timestamp()) // 60} {at.timestamp():.0f}")
    text = folder.parent / "metrics.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]))
    command: list[str | Path] = [
        PROMTOOL,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        f"--max-block-duration={longest}",
        text,
        folder,
    ]
    subprocess.run(command, check=True, capture_output=True)


class Past:
    """Times of what was recorded."""

    def __init__(self) -> None:
        now = utc_now().replace(second=0, microsecond=0)
        epoch = datetime.fromtimestamp(0, tz=now.tzinfo)
        long, middle = timedelta(hours=486), timedelta(hours=54)
        self.years = epoch + (now - timedelta(days=40) - epoch) // long * long - long
        """In one block of three weeks, which is more than a month old."""
        self.weeks = epoch + (now - timedelta(days=9) - epoch) // middle * middle - middle
        """In one block of more than two days, which is more than a week old."""
        self.yesterday = now - timedelta(hours=20)


@pytest.fixture(scope="module")
def past() -> Past:
    return Past()


@pytest.fixture(scope="module")
def thanos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thanos]:
    """An object store whose bucket the account may use, and no block in it."""
    folder = tmp_path_factory.mktemp("history")
    authority = Authority(folder / "tls")
    with object_store(folder / "s3", authority, {METRICS_ACCOUNT: SECRET_KEY}) as s3:
        settings = S3Settings(
            endpoint=HttpUrl(s3.endpoint),
            ca_file=s3.ca_file,
            access_key_file=s3.access_key_file,
            secret_key_file=s3.secret_key_file,
        )
        ObjectStore(settings).make_bucket(METRICS_BUCKET)
        let_in(settings, METRICS_BUCKET, METRICS_ACCOUNT)
        yield Thanos(folder, authority, s3)


@dataclass(frozen=True)
class Environment:
    """What an environment runs."""

    local: PrometheusServer
    sidecar: Listener
    store: Listener
    querier: Front


@pytest.fixture(scope="module")
def environment(thanos: Thanos, past: Past) -> Iterator[Environment]:
    """Prometheus that has two days left of what its sidecar uploaded, store gateway and querier."""
    server = thanos.folder / "prometheus"
    data = server / "data"
    data.mkdir(parents=True)
    written(data, past.years, timedelta(days=20), timedelta(minutes=10), "486h")
    written(data, past.weeks, timedelta(days=2), timedelta(minutes=1), "54h")
    written(data, past.yesterday, timedelta(hours=6), timedelta(minutes=1), "2h")
    recorded = blocks(data)
    with (
        prometheus(server, thanos.authority, arguments=[*prometheus_arguments(), KEEP_ALL], **LABELS) as local,
        thanos.sidecar(local.server_url, data) as sidecar,
        thanos.store() as store,
        thanos.query(sidecar, store) as querier,
    ):
        wait_until(lambda: blocks(thanos.s3.folder / METRICS_BUCKET) >= recorded, 90, "the upload")
        local.server.stop()
        local.server.command = [AS_DEPLOYED if each == KEEP_ALL else each for each in local.server.command]
        local.server.start()
        wait_until(lambda: len(blocks(data)) < len(recorded), 90, "the end of what is old")
        wait_until(lambda: store.metric("thanos_bucket_store_blocks_loaded") == len(recorded), 60, "the store gateway")
        yield Environment(local, sidecar, store, querier)


@pytest.fixture
def operators(environment: Environment, thanos: Thanos) -> Iterator[Prometheus]:
    """The operators' client."""
    settings = client_settings(PrometheusSettings, environment.local.url, thanos.authority, "operations")
    client = Prometheus(settings.model_copy(update={"history_url": HttpUrl(environment.querier.url)}))
    yield client
    client.close()


def blocks(folder: Path) -> set[str]:
    return {file.parent.name for file in folder.glob("*/meta.json")}


def values(
    client: Prometheus, since: datetime, until: datetime, step: timedelta, of: str = "received_total"
) -> list[float]:
    """What the operators' API says of the counter, at each step."""
    found = client.query_range(of, since, until, int(step.total_seconds()))["result"]
    assert [each["metric"].get("environment") for each in found] in ([], ["test.example"])
    return [float(value) for each in found for _, value in each["values"]]


def raw(environment: Environment, at: datetime) -> list[float]:
    """What the querier has at a time of samples as they came."""
    with environment.querier.client("operations") as client:
        asked = {"query": "received_total", "time": str(at.timestamp()), "max_source_resolution": "0s"}
        answer = client.get("/api/v1/query", params=asked).raise_for_status().json()
    return [float(each["value"][1]) for each in answer["data"]["result"]]


def minutes(at: datetime) -> int:
    return int(at.timestamp()) // 60


def test_the_sidecar_uploads_and_the_querier_answers_for_what_is_only_in_the_object_store(
    environment: Environment, past: Past
) -> None:
    at = past.weeks + timedelta(hours=30)
    assert environment.local.query(f"received_total @ {at.timestamp():.0f}") == []
    wait_until(lambda: raw(environment, at) == [minutes(at)], 60, "the answer")
    assert environment.sidecar.metric("thanos_shipper_upload_failures_total") == 0
    assert environment.sidecar.metric("thanos_objstore_bucket_last_successful_upload_time")
    assert environment.store.metric("thanos_objstore_bucket_operation_failures_total") == 0


def test_recent_samples_come_from_prometheus_itself(environment: Environment, operators: Prometheus) -> None:
    day = values(operators, utc_now() - timedelta(hours=20), utc_now() - timedelta(hours=15), timedelta(minutes=30))
    assert len(day) >= 9
    assert day == sorted(day)


def test_only_who_may_asks(environment: Environment, thanos: Thanos) -> None:
    question = {"query": "received_total"}
    with environment.querier.client("operations") as client:
        assert client.get("/api/v1/query", params=question).status_code == 200
        for path in ("/api/v1/stores", "/api/v1/status/flags", "/-/quit", "/debug/pprof/heap", "/"):
            assert client.get(path).status_code == 403, path
    with environment.querier.client("prip") as client:
        assert client.get("/api/v1/query", params=question).status_code == 403
    for listener in (environment.sidecar, environment.store):
        assert refused(listener, thanos.authority)
    stranger = Authority(thanos.folder / "stranger")
    shown = stranger.issue("thanos-query")
    assert refused(environment.store, thanos.authority, (shown.certificate_file, shown.key_file))


def refused(listener: Listener, authority: Authority, shown: tuple[Path, Path] | None = None) -> bool:
    """Whether a server of gRPC ends the connection of who shows that, or no certificate."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.set_alpn_protocols(["h2"])
    if shown:
        context.load_cert_chain(*shown)
    host, _, port = listener.grpc.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secure:
                secure.recv(1)
        except (ssl.SSLError, ConnectionError) as error:
            return "CERTIFICATE" in str(error).upper() or "unknown ca" in str(error).lower()
    return False


def test_a_retention_that_would_lose_samples_is_refused(thanos: Thanos) -> None:
    done = thanos.compact(retention_raw="1d")
    assert done.returncode != 0
    assert "raw resolution must be higher" in done.stderr


def test_the_compactor_makes_coarser_samples_and_removes_finer_ones(
    environment: Environment, operators: Prometheus, thanos: Thanos, past: Past
) -> None:
    assert {resolution for resolution, _ in thanos.blocks()} == {0}
    for _ in range(2):  # what the first time marks as old, the next one removes
        done = thanos.compact()
        assert done.returncode == 0, done.stderr[-2000:]
    made = thanos.blocks()
    # Of more than a month ago there is each hour alone, of more than a week ago each five minutes, then all.
    assert [(resolution, length > 10) for resolution, length in made if resolution] == [(300, False), (3600, True)]
    assert max(length for resolution, length in made if not resolution) < 1
    wait_until(lambda: environment.store.metric("thanos_bucket_store_blocks_loaded") == len(made), 60, "the new blocks")
    since, step = past.years + timedelta(days=5), timedelta(hours=1)
    wait_until(lambda: bool(values(operators, since, since, step)), 60, "the querier's look at the blocks")
    years = values(operators, since, since + timedelta(days=5), step)
    assert len(years) == 5 * 24 + 1
    assert all(0 <= minutes(since) + 60 * number - value <= 60 for number, value in enumerate(years))
    since = past.weeks + timedelta(hours=6)
    weeks = values(operators, since, since + timedelta(hours=10), timedelta(minutes=10))
    assert len(weeks) == 61
    assert all(0 <= minutes(since) + 10 * number - value <= 5 for number, value in enumerate(weeks))
    rates = values(operators, since, since + timedelta(hours=10), timedelta(minutes=30), "rate(received_total[30m])")
    assert rates == pytest.approx([1 / 60] * 21, rel=0.15)  # where chunks meet a sample is missing
    assert raw(environment, since) == []
