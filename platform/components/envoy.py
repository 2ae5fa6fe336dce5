"""Envoy as a sidecar: what a pod needs so that its server is reached by mutual TLS alone."""

from dataclasses import dataclass

import yaml

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import Files, certificate_files, config_files, secret_files
from refsys.platform.components.context import Context
from refsys.platform.components.mutual_tls import LIVE_PATH, READY_PATH, Guarded, envoy_config
from refsys.platform.components.names import ENVOY_METRICS_PORT, HEALTH_PORT
from refsys.platform.components.pod import (
    Metrics,
    Mount,
    Probes,
    Resources,
    Sidecar,
    config_mount,
    http_probes,
    secret_mount,
)

CONFIG_DIRECTORY = "/etc/refsys/envoy"
CONFIG_FILE = "envoy.yaml"
TLS_DIRECTORY = "/etc/refsys/tls"


@dataclass(frozen=True)
class Front:
    """Parts of a pod: the sidecar, what it mounts, probes that ask the server through it, and their metrics."""

    sidecar: Sidecar
    mounts: tuple[Mount, ...]
    files: tuple[Files, ...]
    probes: Probes
    metrics: tuple[Metrics, ...]


def front(context: Context, guarded: Guarded, component: Component, *, start_seconds: int) -> Front:
    """Make certificate and configuration of `component`'s sidecar; the server has `start_seconds` to start."""
    app = guarded.app
    certificate = context.authority.issue(app.name, dns_names=app.dns_names, parent=component)
    tls = secret_files(app, f"{app.name}-tls", certificate_files(certificate), component.child())
    text = yaml.safe_dump(envoy_config(guarded, TLS_DIRECTORY), sort_keys=False)
    config = config_files(app, f"{app.name}-envoy", {CONFIG_FILE: text}, component.child())
    sidecar = Sidecar(
        "envoy",
        {},
        Resources(cpu="10m", memory="64Mi", memory_limit="192Mi"),
        args=(
            "--config-path",
            f"{CONFIG_DIRECTORY}/{CONFIG_FILE}",
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            "1000",
            "--log-level",
            "warning",
        ),
        image=context.image("gateway"),
        ports={"https": guarded.port, **({} if guarded.metrics else {"health": HEALTH_PORT})},
        around=True,
    )
    server = (Metrics("metrics", HEALTH_PORT),) if guarded.metrics else ()
    return Front(
        sidecar,
        (config_mount("envoy", CONFIG_DIRECTORY, config), secret_mount("tls", TLS_DIRECTORY, tls)),
        (config, tls),
        http_probes(HEALTH_PORT, ready=READY_PATH, live=LIVE_PATH, start_seconds=start_seconds),
        (Metrics("metrics-envoy", ENVOY_METRICS_PORT), *server),
    )
