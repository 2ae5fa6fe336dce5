"""Metrics of years: Thanos, which keeps Prometheus' blocks in the object store, coarser the older they are."""

from dataclasses import dataclass, field

import pulumi

from refsys.monitoring.components.thanos_config import (
    BUCKET_DIRECTORY,
    BUCKET_FILE,
    ENDPOINTS_DIRECTORY,
    ENDPOINTS_FILE,
    GUARDED,
    QUERY_SERVER_PORT,
    WORK_DIRECTORY,
    GrpcTls,
    Kept,
    Listening,
    bucket_config,
    compactor_arguments,
    endpoints_config,
    query_arguments,
    sidecar_arguments,
    store_arguments,
)
from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, Files, certificate_files, config_files, secret_files
from refsys.platform.components.envoy import TLS_DIRECTORY, front
from refsys.platform.components.names import (
    PROMETHEUS,
    THANOS_COMPACTOR,
    THANOS_GRPC_PORT,
    THANOS_METRICS_PORT,
    THANOS_QUERY,
    THANOS_QUERY_PORT,
    THANOS_STORE,
)
from refsys.platform.components.object_store import METRICS_ACCOUNT, METRICS_BUCKET
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Mount,
    Pod,
    Probes,
    Resources,
    Sidecar,
    config_mount,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.workload import deployment, service, stateful_set

IMAGE = "thanos"
BUCKET = f"{BUCKET_DIRECTORY}/{BUCKET_FILE}"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - the pod's own address
LISTENING = Listening(f"{EVERYWHERE}:{THANOS_GRPC_PORT}", f"{EVERYWHERE}:{THANOS_METRICS_PORT}")
START_SECONDS = 300
"""The first look at all blocks of ten years takes its time."""
STORE_SIZE = "2Gi"
COMPACTOR_SIZE = "20Gi"
"""Blocks of two weeks, before and after."""


@dataclass(frozen=True)
class MetricsHistoryArgs:
    """Arguments of `MetricsHistory`."""

    context: Context
    platform: Platform
    bucket_made: pulumi.Resource
    """What makes the bucket, and lets the account in."""
    kept: Kept = field(default_factory=Kept)


class MetricsHistory(Component):
    """Store gateway, compactor and querier, at `https://thanos-query.monitoring.svc:9090`.

    `bucket` is what Prometheus' sidecar needs.
    """

    def __init__(self, name: str, args: MetricsHistoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the account's file, then the three."""
        super().__init__("MetricsHistory", name, args.context, opts, package="monitoring")
        self._after = [*self._after, *args.platform.namespaces.ready]
        self._context = args.context
        store = args.platform.object_store

        def text(secret_key: str) -> str:
            return bucket_config(
                endpoint=store.endpoint,
                region=store.region,
                bucket=METRICS_BUCKET,
                access_key=METRICS_ACCOUNT,
                secret_key=secret_key,
                ca_file=f"{BUCKET_DIRECTORY}/{CA}",
            )

        files = {BUCKET_FILE: store.secret_keys[METRICS_ACCOUNT].apply(text), CA: store.ca_pem}
        self.bucket = secret_files(THANOS_STORE, "thanos-bucket", files, self.child())
        self._store(args.bucket_made)
        self._compactor(args.bucket_made, args.kept)
        self._query()
        self.url = f"https://{THANOS_QUERY.host}:{THANOS_QUERY_PORT}"
        self.register_outputs({"url": self.url})

    def _store(self, bucket_made: pulumi.Resource) -> None:
        certificate = self._context.authority.issue(THANOS_STORE.name, dns_names=THANOS_STORE.dns_names, parent=self)
        tls = secret_files(THANOS_STORE, f"{THANOS_STORE.name}-tls", certificate_files(certificate), self.child())
        service(THANOS_STORE, {"grpc": THANOS_GRPC_PORT}, self.child(), headless=True)
        pod = Pod(
            THANOS_STORE,
            image=self._context.image(IMAGE),
            user=UNPRIVILEGED_USER,
            args=store_arguments(WORK_DIRECTORY, BUCKET, LISTENING),
            env=_limits("200MiB"),
            mounts=(
                bucket_mount(self.bucket),
                secret_mount("tls", TLS_DIRECTORY, tls),
                scratch_mount("work", WORK_DIRECTORY, STORE_SIZE),
            ),
            files=(self.bucket, tls),
            ports={"grpc": THANOS_GRPC_PORT},
            metrics=(Metrics("metrics", THANOS_METRICS_PORT),),
            probes=_probes(),
            resources=Resources(cpu="10m", memory="64Mi", memory_limit="320Mi"),
        )
        deployment(pod, self.child(bucket_made))

    def _compactor(self, bucket_made: pulumi.Resource, kept: Kept) -> None:
        """Make the compactor, never two at once: they would spoil each other's blocks."""
        service(THANOS_COMPACTOR, {"metrics": THANOS_METRICS_PORT}, self.child(), headless=True)
        pod = Pod(
            THANOS_COMPACTOR,
            image=self._context.image(IMAGE),
            user=UNPRIVILEGED_USER,
            args=compactor_arguments(WORK_DIRECTORY, BUCKET, LISTENING.http, kept),
            env=_limits("400MiB"),
            mounts=(bucket_mount(self.bucket), scratch_mount("work", WORK_DIRECTORY, COMPACTOR_SIZE)),
            files=(self.bucket,),
            metrics=(Metrics("metrics", THANOS_METRICS_PORT),),
            probes=_probes(),
            resources=Resources(cpu="10m", memory="64Mi", memory_limit="640Mi"),
        )
        stateful_set(pod, self.child(bucket_made))

    def _query(self) -> None:
        envoy = front(self._context, GUARDED, self, start_seconds=START_SECONDS)
        asked = [f"{app.host}:{THANOS_GRPC_PORT}" for app in (PROMETHEUS, THANOS_STORE)]
        endpoints = config_files(
            THANOS_QUERY, "thanos-endpoints", {ENDPOINTS_FILE: endpoints_config(asked, GrpcTls())}, self.child()
        )
        service(THANOS_QUERY, {"https": THANOS_QUERY_PORT}, self.child())
        pod = Pod(
            THANOS_QUERY,
            image=self._context.image(IMAGE),
            user=UNPRIVILEGED_USER,
            args=query_arguments(
                f"127.0.0.1:{QUERY_SERVER_PORT}",
                f"127.0.0.1:{THANOS_GRPC_PORT}",
                f"{ENDPOINTS_DIRECTORY}/{ENDPOINTS_FILE}",
            ),
            env=_limits("160MiB"),
            mounts=(config_mount("endpoints", ENDPOINTS_DIRECTORY, endpoints), *envoy.mounts),
            files=(endpoints, *envoy.files),
            metrics=envoy.metrics,
            probes=envoy.probes,
            resources=Resources(cpu="10m", memory="64Mi", memory_limit="320Mi"),
            sidecars=[envoy.sidecar],
        )
        deployment(pod, self.child())


def bucket_mount(bucket: Files) -> Mount:
    """Mount the file of the account, and the authority of the object store's certificate."""
    return secret_mount("thanos-bucket", BUCKET_DIRECTORY, bucket)


def uploader(context: Context, prometheus_url: str, data: str, data_mount: str, tls_mount: str) -> Sidecar:
    """Return what stands beside Prometheus: it uploads its blocks, and answers the querier for those not yet there."""
    return Sidecar(
        IMAGE,
        _limits("64MiB"),
        Resources(cpu="5m", memory="48Mi", memory_limit="128Mi"),
        args=sidecar_arguments(prometheus_url, data, BUCKET, LISTENING),
        image=context.image(IMAGE),
        ports={"grpc": THANOS_GRPC_PORT},
        sees=(data_mount, tls_mount, "thanos-bucket"),
    )


def _limits(memory: str) -> dict[str, pulumi.Input[str]]:
    return {"GOMAXPROCS": "1", "GOMEMLIMIT": memory}


def _probes() -> Probes:
    return http_probes(THANOS_METRICS_PORT, ready="/-/ready", live="/-/healthy", start_seconds=START_SECONDS)
