"""The production chain: station → ingestion → catalogue → distribution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi

from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, Files, config_files, secret_files
from refsys.platform.components.names import (
    BUCKETS,
    CADIP,
    CATALOGUE,
    COMPRESSION_FILTER,
    COMPRESSION_WORKER,
    DLQ,
    HTTPS_PORT,
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    INGESTOR,
    LIFECYCLE,
    METADATA_SEARCH,
    MIGRATE,
    NOTIFIER,
    OPERATIONS,
    PRIP,
    PUBLISHER,
    RECONCILE,
    ROUTER,
    STAC,
    TOPICS,
    App,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Mount,
    Pod,
    Probes,
    Resources,
    claim_mount,
    config_mount,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.postgresql_config import OWNER
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import cron_job, deployment, job, service, stateful_set
from refsys.services.components.parts import (
    SECRETS_DIRECTORY,
    Part,
    api,
    api_key,
    database,
    delivery,
    kafka,
    object_store,
    uploads,
)
from refsys.services.components.routing import ROUTING_FILE, Routing, routing_files, routing_secrets
from refsys.services.components.stations import (
    STATIONS_FILE,
    Station,
    station_secrets,
    stations_files,
    upload_station,
)

OPERATIONS_PORT = 9090
STATIONS_DIRECTORY = "/etc/refsys/stations"
ROUTING_DIRECTORY = "/etc/refsys/routing"
UPLOADS_DIRECTORY = "/var/lib/refsys/uploads"
UPLOADS_SIZE = "20Gi"
START_SECONDS = 180
RECONCILIATION_SCHEDULE = "15 3 * * *"

JOB = Resources(cpu="10m", memory="64Mi", memory_limit="256Mi")
SMALL = Resources(cpu="20m", memory="96Mi", memory_limit="256Mi")
LARGE = Resources(cpu="50m", memory="128Mi", memory_limit="512Mi")


@dataclass(frozen=True)
class ChainArgs:
    """Arguments of `Chain`."""

    context: Context
    platform: Platform
    stations: Sequence[Station] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Windows of systematic production by mission, as in the stations file."""
    routing: Routing = field(default_factory=Routing)


@dataclass(frozen=True)
class Folder:
    """A settings file with what it points at: the folder `<directory>`, and `<directory>-secrets` beside it."""

    name: str
    directory: str
    variable: str
    """The setting that says where the file is."""
    file: str
    plain: Files
    secret: Files


class Chain(Component):
    """The chain's jobs and processes in namespace `processing`, each with its own identity."""

    def __init__(self, name: str, args: ChainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the jobs, then the processes."""
        super().__init__("Chain", name, args.context, opts, package="services")
        self._context, self._platform = args.context, args.platform
        namespaces = args.platform.namespaces
        self.public_url = f"https://prip.{args.context.domain}"
        self._ca = config_files(PRIP, "authority", {CA: args.platform.postgresql.ca_pem}, self.child(namespaces))
        prepared = self._jobs()
        self._processes(args, prepared)
        self._keeping(prepared)
        self._ingestor(prepared)
        self.register_outputs({"public_url": self.public_url})

    def _jobs(self) -> list[pulumi.Resource]:
        platform = self._platform
        wanted = (
            (MIGRATE, database(platform, OWNER), platform.postgresql.ready),
            (TOPICS, self._kafka(TOPICS), platform.kafka.ready),
            (BUCKETS, object_store(platform), platform.object_store.ready),
        )
        return [job(self._pod(app, part, JOB), self.child(platform.namespaces, needed)) for app, part, needed in wanted]

    def _processes(self, args: ChainArgs, prepared: list[pulumi.Resource]) -> None:
        platform, context = self._platform, self._context
        options = self.child(platform.namespaces, *prepared)
        ingestion = database(platform, "ingestion")
        store = object_store(platform)
        polled = self._stations(args)
        trigger = ingestion + self._kafka(INGESTION_TRIGGER)
        worker = ingestion + self._kafka(INGESTION_WORKER) + store
        catalogue = database(platform, "catalogue") + self._kafka(CATALOGUE) + store
        filtering = self._kafka(COMPRESSION_FILTER)
        compressing = database(platform, "compression") + self._kafka(COMPRESSION_WORKER) + store
        routing = database(platform, "router")
        publisher = database(platform, "publisher") + self._kafka(PUBLISHER)
        prip = database(platform, "prip") + store + api(platform, context.authority, PRIP, self.public_url, self)
        search = database(platform, "metadata_search") + self._kafka(METADATA_SEARCH) + store
        search += api(platform, context.authority, METADATA_SEARCH, f"https://metadata.{context.domain}", self)
        stac = database(platform, "stac")
        stac += api(platform, context.authority, STAC, f"https://stac.{context.domain}", self)
        stac += Part({"REFSYS_PRIP_URL": self.public_url})
        key = delivery(context.passwords("delivery-key", self))
        prip += key
        cadip = database(platform, "cadip") + store
        cadip += api(platform, context.authority, CADIP, f"https://cadip.{context.domain}", self)
        notifier = database(platform, "notifier") + key
        for app in (PRIP, CADIP, METADATA_SEARCH, STAC):
            service(app, {"https": HTTPS_PORT}, self.child(platform.namespaces))
        for pod in (
            self._process(INGESTION_TRIGGER, trigger, SMALL, polled),
            self._process(INGESTION_WORKER, worker, LARGE, polled),
            self._process(CATALOGUE, catalogue, LARGE),
            self._process(COMPRESSION_FILTER, filtering, SMALL),
            self._process(COMPRESSION_WORKER, compressing, LARGE),
            self._process(ROUTER, routing, LARGE, self._routing(args.routing)),
            self._process(PUBLISHER, publisher, SMALL),
            self._process(PRIP, prip, LARGE, ports={"https": HTTPS_PORT}),
            self._process(METADATA_SEARCH, search, LARGE, ports={"https": HTTPS_PORT}),
            self._process(STAC, stac, LARGE, ports={"https": HTTPS_PORT}),
            self._process(CADIP, cadip, LARGE, ports={"https": HTTPS_PORT}),
            self._process(NOTIFIER, notifier, SMALL),
        ):
            deployment(pod, options)

    def _keeping(self, prepared: list[pulumi.Resource]) -> None:
        """Make what keeps the products and the messages: lifecycle, reconciliation, dead letters, operators' API."""
        platform, context = self._platform, self._context
        options = self.child(platform.namespaces, *prepared)
        store = object_store(platform)
        lifecycle = database(platform, "lifecycle") + self._kafka(LIFECYCLE) + store
        reconcile = database(platform, "reconcile") + self._kafka(RECONCILE) + store
        dlq = database(platform, "dlq") + self._kafka(DLQ)
        operations = (
            database(platform, "operations")
            + api(platform, context.authority, OPERATIONS, f"https://operations.{context.domain}", self)
            + api_key(context.passwords, self)
        )
        service(OPERATIONS, {"https": HTTPS_PORT}, self.child(platform.namespaces))
        for pod in (
            self._process(LIFECYCLE, lifecycle, LARGE),
            self._process(DLQ, dlq, SMALL),
            self._process(OPERATIONS, operations, SMALL, ports={"https": HTTPS_PORT}),
        ):
            deployment(pod, options)
        cron_job(self._pod(RECONCILE, reconcile, SMALL), RECONCILIATION_SCHEDULE, options)

    def _ingestor(self, prepared: list[pulumi.Resource]) -> None:
        """Make the ingestor: one pod, since its volume holds half-done uploads."""
        platform, context = self._platform, self._context
        part = database(platform, "ingestor") + object_store(platform) + uploads(UPLOADS_DIRECTORY)
        part += api(platform, context.authority, INGESTOR, f"https://ingestor.{context.domain}", self)
        volume = Volume(INGESTOR.label, VolumeArgs(context, INGESTOR, UPLOADS_SIZE), self.child(platform.namespaces))
        service(INGESTOR, {"https": HTTPS_PORT}, self.child(platform.namespaces))
        pod = self._process(INGESTOR, part, LARGE, ports={"https": HTTPS_PORT})
        data = claim_mount("uploads", UPLOADS_DIRECTORY, volume.claim)
        stateful_set(replace(pod, mounts=(*pod.mounts, data)), self.child(platform.namespaces, *prepared))

    def _kafka(self, app: App) -> Part:
        return kafka(self._platform, self._context.authority, app, self)

    def _stations(self, args: ChainArgs) -> Folder:
        options = self.child(self._platform.namespaces)
        stations = [*args.stations, upload_station(self._platform.object_store)]
        files = stations_files(stations, args.sampling, STATIONS_DIRECTORY)
        return Folder(
            "station",
            STATIONS_DIRECTORY,
            "REFSYS_STATIONS_FILE",
            STATIONS_FILE,
            config_files(INGESTION_TRIGGER, "stations", files, options),
            secret_files(INGESTION_TRIGGER, "stations", station_secrets(stations), options),
        )

    def _routing(self, routing: Routing) -> Folder:
        options = self.child(self._platform.namespaces)
        return Folder(
            "routing",
            ROUTING_DIRECTORY,
            "REFSYS_ROUTING_FILE",
            ROUTING_FILE,
            config_files(ROUTER, "routing", routing_files(routing, ROUTING_DIRECTORY), options),
            secret_files(ROUTER, "routing", routing_secrets(routing), options),
        )

    def _process(
        self,
        app: App,
        part: Part,
        resources: Resources,
        folder: Folder | None = None,
        ports: dict[str, int] | None = None,
    ) -> Pod:
        """Return the pod of a process that runs for ever and tells how it is."""
        env: dict[str, pulumi.Input[str]] = {"REFSYS_OPERATIONS_PORT": str(OPERATIONS_PORT)}
        mounts: list[Mount] = []
        if folder:
            env[folder.variable] = f"{folder.directory}/{folder.file}"
            mounts = [
                config_mount(f"{folder.name}-files", folder.directory, folder.plain),
                secret_mount(f"{folder.name}-secrets", f"{folder.directory}-secrets", folder.secret),
            ]
        return self._pod(
            app,
            part + Part(env),
            resources,
            mounts=mounts,
            files=[folder.plain, folder.secret] if folder else [],
            ports={**(ports or {}), "operations": OPERATIONS_PORT},
            probes=http_probes(OPERATIONS_PORT, ready="/readyz", live="/healthz", start_seconds=START_SECONDS),
        )

    def _pod(
        self,
        app: App,
        part: Part,
        resources: Resources,
        *,
        mounts: Sequence[Mount] = (),
        files: Sequence[Files] = (),
        ports: dict[str, int] | None = None,
        probes: Probes | None = None,
    ) -> Pod:
        own = secret_files(app, app.name, part.secrets, self.child(self._platform.namespaces))
        return Pod(
            app,
            image=self._context.image("services"),
            user=UNPRIVILEGED_USER,
            args=(app.name,),
            env=part.env,
            mounts=(
                config_mount("ca", "/etc/refsys/ca", self._ca),
                secret_mount("secrets", SECRETS_DIRECTORY, own),
                scratch_mount("temporary", "/tmp", "64Mi"),  # noqa: S108 - the pod's own
                *mounts,
            ),
            files=(self._ca, own, *files),
            resources=resources,
            ports=ports or {},
            probes=probes,
            grace_seconds=60,
        )
