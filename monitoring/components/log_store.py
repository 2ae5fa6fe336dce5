"""The log store: OpenSearch on one volume, reached by mutual TLS alone."""

from dataclasses import dataclass

import pulumi

from refsys.monitoring.components.log_store_config import DATA_DIRECTORY, GUARDED, TEMPORARY_DIRECTORY, opensearch_yml
from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import config_files
from refsys.platform.components.envoy import front
from refsys.platform.components.names import LOG_STORE, LOG_STORE_PORT
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Pod,
    Resources,
    claim_mount,
    config_mount,
    scratch_mount,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import service, stateful_set

CONFIG_DIRECTORY = "/etc/refsys/opensearch"
HEAP_MIB = 512
MEMORY_LIMIT_MIB = 1331
START_SECONDS = 300  # after a crash it reads its journal first


@dataclass(frozen=True)
class LogStoreArgs:
    """Arguments of `LogStore`."""

    context: Context
    platform: Platform
    size: str = "20Gi"
    heap_mib: int = HEAP_MIB


class LogStore(Component):
    """OpenSearch at `https://log-store.monitoring.svc:9200`."""

    def __init__(self, name: str, args: LogStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make certificate, configuration, volume and StatefulSet."""
        super().__init__("LogStore", name, args.context, opts, package="monitoring")
        self._after = [*self._after, *args.platform.namespaces.ready]
        context, heap = args.context, args.heap_mib
        config = config_files(LOG_STORE, "opensearch-config", {"opensearch.yml": opensearch_yml()}, self.child())
        envoy = front(context, GUARDED, self, start_seconds=START_SECONDS)
        volume = Volume(LOG_STORE.label, VolumeArgs(context, LOG_STORE, args.size), self.child())
        service(LOG_STORE, {"https": LOG_STORE_PORT}, self.child(), headless=True)
        pod = Pod(
            LOG_STORE,
            image=context.image("opensearch"),
            user=UNPRIVILEGED_USER,
            env={"OPENSEARCH_HEAP_OPTS": f"-Xms{heap}m -Xmx{heap}m"},
            mounts=(
                config_mount("config", CONFIG_DIRECTORY, config),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
                scratch_mount("temporary", TEMPORARY_DIRECTORY, "256Mi"),
                *envoy.mounts,
            ),
            files=(config, *envoy.files),
            probes=envoy.probes,
            metrics=envoy.metrics,
            resources=Resources(
                cpu="100m", memory=f"{heap + 128}Mi", memory_limit=f"{heap + MEMORY_LIMIT_MIB - HEAP_MIB}Mi"
            ),
            sidecars=[envoy.sidecar],
            grace_seconds=60,
        )
        self.ready = stateful_set(pod, self.child())
        self.url = f"https://{LOG_STORE.host}:{LOG_STORE_PORT}"
        self.register_outputs({"url": self.url})
