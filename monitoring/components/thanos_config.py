"""Thanos' arguments and files: where blocks lie, how long samples stay, who asks whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import yaml

from refsys.platform.components.configuration import CA, CERTIFICATE, PRIVATE_KEY
from refsys.platform.components.envoy import TLS_DIRECTORY
from refsys.platform.components.mutual_tls import Access, Guarded
from refsys.platform.components.names import OPERATIONS, THANOS_QUERY, THANOS_QUERY_PORT

BUCKET_DIRECTORY = "/etc/refsys/thanos-bucket"
BUCKET_FILE = "bucket.yml"
ENDPOINTS_DIRECTORY = "/etc/refsys/thanos"
ENDPOINTS_FILE = "endpoints.yml"
WORK_DIRECTORY = "/var/lib/thanos"
QUERY_SERVER_PORT = 9096
BLOCK = timedelta(hours=2)
"""What Prometheus writes at a time, and its sidecar uploads; Prometheus itself must not compact it."""
LEAST_RAW = timedelta(days=4)
LEAST_FIVE_MINUTES = timedelta(days=18)
"""Samples of 5 minutes are made of blocks of two days, those of an hour of blocks of two weeks, when these are whole
and at least two days old."""
MOST_SAMPLES = 5_000_000
"""One question must not take the memory of all."""

GUARDED = Guarded(
    THANOS_QUERY,
    THANOS_QUERY_PORT,
    QUERY_SERVER_PORT,
    ready="/-/ready",
    live="/-/healthy",
    access=(Access(OPERATIONS, ("GET", "POST"), "/api/v1/(query|query_range)"),),
    metrics="/metrics",
)


@dataclass(frozen=True)
class Kept:
    """How long samples stay in the object store."""

    raw: timedelta = timedelta(days=7)
    five_minutes: timedelta = timedelta(days=30)
    hours: timedelta = timedelta(days=3650)

    def __post_init__(self) -> None:
        """Refuse what would remove samples before those of the next step are made of them."""
        if self.raw < LEAST_RAW:
            raise ValueError(f"raw samples must stay at least {LEAST_RAW.days} days, not {self.raw}")
        if self.five_minutes < LEAST_FIVE_MINUTES:
            raise ValueError(
                f"samples of 5 minutes must stay at least {LEAST_FIVE_MINUTES.days} days, not {self.five_minutes}"
            )
        if not self.raw <= self.five_minutes <= self.hours:
            raise ValueError(f"coarser samples must stay longer than finer ones: {self}")


@dataclass(frozen=True)
class GrpcTls:
    """Files of a server that is asked by gRPC, or of who asks: both show a certificate of the environment."""

    directory: str = TLS_DIRECTORY
    names: tuple[str, str, str] = (CERTIFICATE, PRIVATE_KEY, CA)

    @property
    def files(self) -> tuple[str, str, str]:
        """Certificate, key and authority."""
        certificate, key, authority = (f"{self.directory}/{name}" for name in self.names)
        return certificate, key, authority


@dataclass(frozen=True)
class Listening:
    """Where a program is asked, host and port: by gRPC with mutual TLS, and for its metrics."""

    grpc: str
    http: str
    tls: GrpcTls = GrpcTls()


def bucket_config(*, endpoint: str, region: str, bucket: str, access_key: str, secret_key: str, ca_file: str) -> str:
    """Return the file that says where blocks lie; `endpoint` is an address beginning with https://."""
    config = {
        "bucket": bucket,
        "endpoint": endpoint.removeprefix("https://"),
        "region": region,
        "access_key": access_key,
        "secret_key": secret_key,
        "bucket_lookup_type": "path",
        "http_config": {"tls_config": {"ca_file": ca_file}},
    }
    return yaml.safe_dump({"type": "S3", "config": config}, sort_keys=False)


def endpoints_config(addresses: Sequence[str], tls: GrpcTls) -> str:
    """Return the file that says whom the querier asks, by mutual TLS; the names in certificates are the addresses'."""
    certificate, key, authority = tls.files
    shown = {"cert_file": certificate, "key_file": key, "ca_file": authority, "min_version": "1.3"}
    config = {
        "default_client_config": {"tls_config": {"enabled": True, **shown}},
        "endpoints": [{"address": address} for address in addresses],
    }
    return yaml.safe_dump(config, sort_keys=False)


def prometheus_arguments() -> tuple[str, ...]:
    """Return Prometheus' own arguments: whole blocks are uploaded, so that it must not compact them itself."""
    hours = f"{BLOCK // timedelta(hours=1)}h"
    return (f"--storage.tsdb.min-block-duration={hours}", f"--storage.tsdb.max-block-duration={hours}")


def sidecar_arguments(prometheus_url: str, data: str, bucket_file: str, listening: Listening) -> tuple[str, ...]:
    """Return the arguments of what uploads Prometheus' blocks, and answers for those that it has itself."""
    return (
        "sidecar",
        f"--prometheus.url={prometheus_url}",
        f"--tsdb.path={data}",
        f"--objstore.config-file={bucket_file}",
        f"--store.limits.request-samples={MOST_SAMPLES}",
        *_served(listening),
    )


def store_arguments(work: str, bucket_file: str, listening: Listening) -> tuple[str, ...]:
    """Return the arguments of what answers for the blocks of the object store."""
    return (
        "store",
        f"--data-dir={work}",
        f"--objstore.config-file={bucket_file}",
        "--sync-block-duration=5m",
        "--index-cache.config={type: IN-MEMORY, config: {max_size: 32MB, max_item_size: 8MB}}",
        "--chunk-pool-size=128MB",
        f"--store.limits.request-samples={MOST_SAMPLES}",
        "--store.enable-index-header-lazy-reader",
        "--web.disable",
        "--disable-admin-operations",
        *_served(listening),
    )


def compactor_arguments(work: str, bucket_file: str, http: str, kept: Kept) -> tuple[str, ...]:
    """Return the arguments of what merges blocks, makes coarser ones, and removes what is old."""
    return (
        "compact",
        "--wait",
        "--wait-interval=15m",
        f"--data-dir={work}",
        f"--objstore.config-file={bucket_file}",
        f"--retention.resolution-raw={kept.raw.days}d",
        f"--retention.resolution-5m={kept.five_minutes.days}d",
        f"--retention.resolution-1h={kept.hours.days}d",
        "--web.disable",
        "--disable-admin-operations",
        f"--http-address={http}",
        "--log.format=json",
    )


def query_arguments(http: str, grpc: str, endpoints_file: str) -> tuple[str, ...]:
    """Return the arguments of what is asked: without a wish it takes the coarsest samples that do for a step."""
    return (
        "query",
        f"--http-address={http}",
        f"--grpc-address={grpc}",
        f"--endpoint.sd-config-file={endpoints_file}",
        "--query.auto-downsampling",
        "--query.timeout=30s",
        "--query.max-concurrent=4",
        "--web.disable-cors",
        "--log.format=json",
    )


def _served(listening: Listening) -> tuple[str, ...]:
    certificate, key, authority = listening.tls.files
    return (
        f"--grpc-address={listening.grpc}",
        f"--grpc-server-tls-cert={certificate}",
        f"--grpc-server-tls-key={key}",
        f"--grpc-server-tls-client-ca={authority}",
        f"--http-address={listening.http}",
        "--log.format=json",
    )
