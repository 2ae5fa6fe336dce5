"""The production chain: station → ingestion → catalogue → distribution."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, Files, config_files, secret_files
from refsys.platform.components.names import (
    BUCKETS,
    CATALOGUE,
    HTTPS_PORT,
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    MIGRATE,
    PRIP,
    PUBLISHER,
    TOPICS,
    App,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Mount,
    Pod,
    Probes,
    Resources,
    config_mount,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.postgresql_config import OWNER
from refsys.platform.components.workload import deployment, job, service
from refsys.services.components.parts import SECRETS_DIRECTORY, Part, api, database, kafka, object_store
from refsys.services.components.stations import STATIONS_FILE, Station, station_secrets, stations_files

OPERATIONS_PORT = 9090
STATIONS_DIRECTORY = "/etc/refsys/stations"
START_SECONDS = 180

JOB = Resources(cpu="10m", memory="64Mi", memory_limit="256Mi")
SMALL = Resources(cpu="20m", memory="96Mi", memory_limit="256Mi")
LARGE = Resources(cpu="50m", memory="128Mi", memory_limit="512Mi")


@dataclass(frozen=True)
class ChainArgs:
    """Arguments of `Chain`."""

    context: Context
    platform: Platform
    stations: Sequence[Station] = ()


class Chain(Component):
    """The chain's jobs and processes in namespace `processing`, each with its own identity."""

    def __init__(self, name: str, args: ChainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the jobs, then the processes."""
        super().__init__("Chain", name, args.context, opts, package="services")
        self._context, self._platform = args.context, args.platform
        namespaces = args.platform.namespaces
        self._ca = config_files(PRIP, "authority", {CA: args.platform.postgresql.ca_pem}, self.child(namespaces))
        prepared = self._jobs()
        self._processes(args.stations, prepared)
        self.public_url = f"https://prip.{args.context.domain}"
        self.register_outputs({"public_url": self.public_url})

    def _jobs(self) -> list[pulumi.Resource]:
        platform = self._platform
        wanted = (
            (MIGRATE, database(platform, OWNER), platform.postgresql.ready),
            (TOPICS, self._kafka(TOPICS), platform.kafka.ready),
            (BUCKETS, object_store(platform), platform.object_store.ready),
        )
        return [job(self._pod(app, part, JOB), self.child(platform.namespaces, needed)) for app, part, needed in wanted]

    def _processes(self, stations: Sequence[Station], prepared: list[pulumi.Resource]) -> None:
        platform, context = self._platform, self._context
        options = self.child(platform.namespaces, *prepared)
        ingestion = database(platform, "ingestion")
        store = object_store(platform)
        polled = self._stations(stations)
        trigger = ingestion + self._kafka(INGESTION_TRIGGER)
        worker = ingestion + self._kafka(INGESTION_WORKER) + store
        catalogue = database(platform, "catalogue") + self._kafka(CATALOGUE) + store
        publisher = database(platform, "publisher") + self._kafka(PUBLISHER)
        prip = database(platform, "prip") + store + api(platform, context.authority, context.domain, self)
        service(PRIP, {"https": HTTPS_PORT}, self.child(platform.namespaces))
        for pod in (
            self._process(INGESTION_TRIGGER, trigger, SMALL, polled),
            self._process(INGESTION_WORKER, worker, LARGE, polled),
            self._process(CATALOGUE, catalogue, LARGE),
            self._process(PUBLISHER, publisher, SMALL),
            self._process(PRIP, prip, LARGE, ports={"https": HTTPS_PORT}),
        ):
            deployment(pod, options)

    def _kafka(self, app: App) -> Part:
        return kafka(self._platform, self._context.authority, app, self)

    def _stations(self, stations: Sequence[Station]) -> tuple[Files, Files]:
        options = self.child(self._platform.namespaces)
        files = stations_files(stations, STATIONS_DIRECTORY)
        return (
            config_files(INGESTION_TRIGGER, "stations", files, options),
            secret_files(INGESTION_TRIGGER, "stations", station_secrets(stations), options),
        )

    def _process(
        self,
        app: App,
        part: Part,
        resources: Resources,
        stations: tuple[Files, Files] | None = None,
        ports: dict[str, int] | None = None,
    ) -> Pod:
        """Return the pod of a process that runs for ever and tells how it is."""
        env: dict[str, pulumi.Input[str]] = {"REFSYS_OPERATIONS_PORT": str(OPERATIONS_PORT)}
        mounts: list[Mount] = []
        if stations:
            env["REFSYS_STATIONS_FILE"] = f"{STATIONS_DIRECTORY}/{STATIONS_FILE}"
            mounts = [
                config_mount("stations", STATIONS_DIRECTORY, stations[0]),
                secret_mount("station-secrets", f"{STATIONS_DIRECTORY}-secrets", stations[1]),
            ]
        return self._pod(
            app,
            part + Part(env),
            resources,
            mounts=mounts,
            files=list(stations or ()),
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
