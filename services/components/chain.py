"""The production chain: station → ingestion → catalogue → distribution."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi

from refsys.platform.components import Context, Hosted, Platform
from refsys.platform.components.component import Component, digest
from refsys.platform.components.configuration import CA, Files, config_files
from refsys.platform.components.names import (
    BUCKETS,
    CADIP,
    CATALOGUE,
    CLAMAV_METRICS_PORT,
    COMPRESSION_FILTER,
    COMPRESSION_WORKER,
    DETECTOR,
    DLQ,
    EXECUTION,
    EXPORTER,
    HTTPS_PORT,
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    INGESTOR,
    JOBS,
    KAFKA_LAG,
    KPI,
    LIFECYCLE,
    LOG_INDEXER,
    METADATA_SEARCH,
    MIGRATE,
    NOTIFIER,
    ONDEMAND,
    OPENBAO_BACKUP,
    OPERATIONS,
    PREPARATION,
    PRIP,
    PROCESS_PORT,
    PUBLISHER,
    RECONCILE,
    ROUTER,
    STAC,
    TOPICS,
    App,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Mount,
    Pod,
    Probes,
    Resources,
    claim_mount,
    config_mount,
    http_probes,
    scratch_mount,
)
from refsys.platform.components.postgresql_config import OWNER
from refsys.platform.components.secrets import (
    CA_DIRECTORY,
    SECRETS_DIRECTORY,
    api_token_mount,
    secrets_env,
    secrets_mounts,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import cron_job, deployment, job, pod_template, service, stateful_set
from refsys.security.components import SNAPSHOT, Holder, OpenBao
from refsys.services.components.application_parts import Connected
from refsys.services.components.parts import (
    Part,
    alertmanager,
    api,
    api_key,
    applications,
    database,
    delivery,
    kafka,
    log_store,
    metrics_bucket,
    metrics_history,
    object_store,
    prometheus,
    uploads,
    virus_scan,
)
from refsys.services.components.production import (
    PROCESSORS,
    TEMPLATE,
    Production,
    ProductionArgs,
    Quota,
    job_pod,
)
from refsys.services.components.routing import ROUTING_FILE, Routing, routing_files, routing_secrets
from refsys.services.components.stations import (
    STATIONS_FILE,
    Station,
    station_secrets,
    stations_files,
    upload_station,
)

RULES = Path(__file__).parents[2] / "security" / "rules" / "sigma"
RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
STATIONS_DIRECTORY = "/etc/refsys/stations"
ROUTING_DIRECTORY = "/etc/refsys/routing"
RULES_DIRECTORY = "/etc/refsys/rules"
SAMPLING_DIRECTORY, SAMPLING_FILE = "/etc/refsys/sampling", "sampling.yaml"
RUNBOOKS_DIRECTORY = "/etc/refsys/runbooks"
UPLOADS_DIRECTORY = "/var/lib/refsys/uploads"
UPLOADS_SIZE = "20Gi"
START_SECONDS = 180
RECONCILIATION_SCHEDULE = "15 3 * * *"
BACKUP_SCHEDULE = "45 * * * *"

# What ends by itself asks for less than it takes: where memory is short it goes first, and is run again.
JOB = Resources(cpu="10m", memory="32Mi", memory_limit="256Mi")
EXPORTING = Resources(cpu="5m", memory="64Mi", memory_limit="128Mi")
SMALL = Resources(cpu="20m", memory="96Mi", memory_limit="256Mi")
LARGE = Resources(cpu="50m", memory="128Mi", memory_limit="512Mi")


@dataclass(frozen=True)
class ChainArgs:
    """Arguments of `Chain`."""

    context: Context
    platform: Platform
    openbao: OpenBao
    stations: Sequence[Station] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Windows of systematic production by mission, as in the stations file."""
    routing: Routing = field(default_factory=Routing)
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """Of production jobs, by mission; the usual ones unless told."""
    orders: Mapping[str, int] = field(default_factory=dict)
    """What each user may order, by the names of `OnDemandSettings`; the usual unless told."""
    metrics_history: bool = False
    """Whether metrics are kept for years: then operators ask there, and there is a bucket for them."""
    applications: Sequence[Connected] = ()
    """Hosted applications, whose secrets are handed over with those of the chain."""
    jobs_pool: str | None = None
    """The pool of nodes that production jobs have to themselves; None: they run on the nodes that are for all."""


@dataclass(frozen=True)
class Folder:
    """A settings file with what it points at in its folder."""

    name: str
    directory: str
    variable: str
    """The setting that says where the file is, or the folder where `file` is empty."""
    file: str
    files: Files


class Chain(Component):
    """The chain's jobs and processes in namespace `processing`, each with its own identity."""

    def __init__(self, name: str, args: ChainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Hand over what each process may have, make the jobs, then the processes."""
        super().__init__("Chain", name, args.context, opts, package="services")
        self._context, self._platform = args.context, args.platform
        namespaces, openbao = args.platform.namespaces, args.openbao
        self.public_url = f"https://prip.{args.context.domain}"
        self._ca = config_files(PRIP, "authority", {CA: args.platform.postgresql.ca_pem}, self.child(*namespaces.ready))
        self._holders: list[Holder] = []
        self._history = args.metrics_history
        jobs = self._jobs([each.hosted for each in args.applications])
        production = Production("production", ProductionArgs(args.context, args.quotas), self.child(*namespaces.ready))
        running = [*self._processes(args), self._execution(), *self._keeping(), *self._watching(), *self._exporters()]
        reconcile, uploads, backup = self._reconcile(), self._ingestor(), self._backup(openbao)
        templates = [replace(self._jobs_of(app, production), pool=args.jobs_pool) for app in JOBS.values()]
        others = [holder for application in args.applications for holder in application.holders]
        self.secrets = secrets = openbao.hand_over([*self._holders, *others], self)
        prepared = [job(pod, self.child(*namespaces.ready, secrets, needed)) for pod, needed in jobs]
        self.topics, self.buckets = prepared[-2:]
        options = self.child(*namespaces.ready, *prepared)
        for pod in running:
            deployment(pod, options)
        for pod in templates:
            pod_template(pod, TEMPLATE, options)
        cron_job(reconcile, RECONCILIATION_SCHEDULE, options)
        cron_job(backup, BACKUP_SCHEDULE, options)
        stateful_set(uploads, options)
        self.register_outputs({"public_url": self.public_url})

    def _jobs(self, hosted: Sequence[Hosted]) -> list[tuple[Pod, pulumi.Resource]]:
        """Return what prepares the platform, each with what it waits for."""
        platform = self._platform
        buckets = object_store(platform) + (metrics_bucket() if self._history else Part())
        buckets += applications(buckets=[each.bucket for each in hosted if each.object_store])
        topics = self._kafka(TOPICS) + applications(topics=[each.bucket for each in hosted if each.kafka])
        wanted = (
            (MIGRATE, database(platform, OWNER), platform.postgresql.ready),
            (TOPICS, topics, platform.kafka.ready),
            (BUCKETS, buckets, platform.object_store.ready),
        )
        return [(self._pod(app, part, JOB), needed) for app, part, needed in wanted]

    def _processes(self, args: ChainArgs) -> list[Pod]:
        platform, context = self._platform, self._context
        ingestion = database(platform, "ingestion")
        store = object_store(platform)
        stations = [*args.stations, upload_station(platform.object_store)]
        polled = self._stations(stations, args.sampling)
        ingestion += Part(secrets=station_secrets(stations))
        trigger = ingestion + self._kafka(INGESTION_TRIGGER)
        worker = ingestion + self._kafka(INGESTION_WORKER) + store + virus_scan()
        catalogue = database(platform, "catalogue") + self._kafka(CATALOGUE) + store
        filtering = self._kafka(COMPRESSION_FILTER)
        compressing = database(platform, "compression") + self._kafka(COMPRESSION_WORKER) + store
        preparing = database(platform, "preparation") + self._kafka(PREPARATION) + store
        routing = database(platform, "router") + Part(secrets=routing_secrets(args.routing))
        publisher = database(platform, "publisher") + self._kafka(PUBLISHER)
        key = delivery(context.passwords("delivery-key", self))
        prip = database(platform, "prip") + store + api(platform, PRIP, self.public_url) + key + self._kafka(PRIP)
        search = database(platform, "metadata_search") + self._kafka(METADATA_SEARCH) + store
        search += api(platform, METADATA_SEARCH, f"https://metadata.{context.domain}")
        stac = database(platform, "stac") + api(platform, STAC, f"https://stac.{context.domain}")
        stac += Part({"REFSYS_PRIP_URL": self.public_url})
        ordering = database(platform, "ondemand") + key + Part({"REFSYS_PRIP_URL": self.public_url})
        ordering += api(platform, ONDEMAND, f"https://ondemand.{context.domain}")
        ordering += Part({f"REFSYS_ONDEMAND_{name.upper()}": str(most) for name, most in args.orders.items()})
        cadip = database(platform, "cadip") + store + api(platform, CADIP, f"https://cadip.{context.domain}")
        cadip += self._kafka(CADIP)
        notifier = database(platform, "notifier") + key + self._kafka(NOTIFIER)
        for app in (PRIP, CADIP, METADATA_SEARCH, STAC, ONDEMAND):
            service(app, {"https": HTTPS_PORT}, self.child(*platform.namespaces.ready))
        return [
            self._process(INGESTION_TRIGGER, trigger, SMALL, polled),
            self._process(INGESTION_WORKER, worker, LARGE, polled),
            self._process(CATALOGUE, catalogue, LARGE),
            self._process(COMPRESSION_FILTER, filtering, SMALL),
            self._process(COMPRESSION_WORKER, compressing, LARGE),
            self._process(PREPARATION, preparing, replace(LARGE, cpu="5m"), self._sampling(args.sampling)),
            self._process(ROUTER, routing, LARGE, self._routing(args.routing)),
            self._process(PUBLISHER, publisher, SMALL),
            self._process(PRIP, prip, LARGE, ports={"https": HTTPS_PORT}),
            self._process(METADATA_SEARCH, search, LARGE, ports={"https": HTTPS_PORT}),
            self._process(STAC, stac, LARGE, ports={"https": HTTPS_PORT}),
            self._process(ONDEMAND, ordering, replace(SMALL, cpu="2m"), ports={"https": HTTPS_PORT}),
            self._process(CADIP, cadip, LARGE, ports={"https": HTTPS_PORT}),
            self._process(NOTIFIER, notifier, SMALL),
        ]

    def _keeping(self) -> list[Pod]:
        """Return what keeps the products and the messages: lifecycle, dead letters, operators' API."""
        platform, context = self._platform, self._context
        lifecycle = database(platform, "lifecycle") + self._kafka(LIFECYCLE) + object_store(platform)
        dlq = database(platform, "dlq") + self._kafka(DLQ)
        operations = (
            database(platform, "operations")
            + api(platform, OPERATIONS, f"https://operations.{context.domain}")
            + api_key(context.passwords, self)
            + log_store(context.authority, OPERATIONS, self)
            + prometheus()
            + alertmanager()
            + (metrics_history() if self._history else Part())
        )
        service(OPERATIONS, {"https": HTTPS_PORT}, self.child(*platform.namespaces.ready))
        return [
            self._process(LIFECYCLE, lifecycle, LARGE),
            self._process(DLQ, dlq, replace(SMALL, cpu="10m")),
            self._process(OPERATIONS, operations, SMALL, self._runbooks(), ports={"https": HTTPS_PORT}),
        ]

    def _execution(self) -> Pod:
        """Return what runs production jobs; it alone of the chain asks the API server for something."""
        context = self._context
        images = pulumi.Output.json_dumps({name: context.image(name) for name in PROCESSORS})
        part = database(self._platform, "execution") + self._kafka(EXECUTION) + object_store(self._platform)
        pod = self._process(EXECUTION, part + Part({"REFSYS_EXECUTION_IMAGES": images}), replace(SMALL, cpu="5m"))
        return replace(pod, mounts=(*pod.mounts, api_token_mount()))

    def _jobs_of(self, app: App, production: Production) -> Pod:
        """Return the pod of a mission's jobs, but for the processor."""
        ca = config_files(app, f"{app.name}-authority", {CA: self._platform.postgresql.ca_pem}, self.child(production))
        return job_pod(self._pod(app, object_store(self._platform), LARGE, ca=ca), production.inputs.get(app))

    def _watching(self) -> list[Pod]:
        """Return what takes the logs in, what looks for attacks in them, and what makes figures of them."""
        authority = self._context.authority
        indexer = self._kafka(LOG_INDEXER) + log_store(authority, LOG_INDEXER, self)
        kpi = database(self._platform, "kpi") + self._kafka(KPI)
        detector = log_store(authority, DETECTOR, self) + alertmanager()
        return [
            self._process(LOG_INDEXER, indexer, LARGE),
            self._process(KPI, kpi, replace(SMALL, cpu="10m")),
            self._process(DETECTOR, detector, SMALL, self._rules()),
        ]

    def _exporters(self) -> list[Pod]:
        """Return what tells figures of others: backups and ClamAV, and how far Kafka's consumers are behind."""
        exporter = object_store(self._platform) + virus_scan()
        exporter += Part({"REFSYS_CLAMAV_METRICS_PORT": str(CLAMAV_METRICS_PORT)})
        of_clamav = Metrics("metrics-clamav", CLAMAV_METRICS_PORT)
        ca = config_files(
            KAFKA_LAG,
            "kafka-lag-authority",
            {CA: self._platform.kafka.ca_pem},
            self.child(*self._platform.namespaces.ready),
        )
        return [
            self._process(EXPORTER, exporter, EXPORTING, metrics=[of_clamav]),
            self._process(KAFKA_LAG, self._kafka(KAFKA_LAG), EXPORTING, ca=ca),
        ]

    def _reconcile(self) -> Pod:
        platform = self._platform
        part = database(platform, "reconcile") + self._kafka(RECONCILE) + object_store(platform)
        return self._pod(RECONCILE, part, replace(SMALL, memory="64Mi"))

    def _ingestor(self) -> Pod:
        """Return the ingestor: one pod, since its volume holds half-done uploads."""
        platform, context = self._platform, self._context
        part = database(platform, "ingestor") + object_store(platform) + uploads(UPLOADS_DIRECTORY) + virus_scan()
        part += api(platform, INGESTOR, f"https://ingestor.{context.domain}") + self._kafka(INGESTOR)
        volume = Volume(
            INGESTOR.label, VolumeArgs(context, INGESTOR, UPLOADS_SIZE), self.child(*platform.namespaces.ready)
        )
        service(INGESTOR, {"https": HTTPS_PORT}, self.child(*platform.namespaces.ready))
        pod = self._process(INGESTOR, part, LARGE, ports={"https": HTTPS_PORT})
        data = claim_mount("uploads", UPLOADS_DIRECTORY, volume.claim)
        return replace(pod, mounts=(*pod.mounts, data))

    def _backup(self, openbao: OpenBao) -> Pod:
        """Return what saves the secrets into the object store."""
        return self._pod(OPENBAO_BACKUP, object_store(self._platform) + Part(reads=(SNAPSHOT,)), JOB, ca=openbao.ca)

    def _kafka(self, app: App) -> Part:
        return kafka(self._platform, self._context.authority, app, self)

    def _stations(self, stations: Sequence[Station], sampling: Mapping[str, Any]) -> Folder:
        files = stations_files(stations, sampling, STATIONS_DIRECTORY, SECRETS_DIRECTORY)
        return Folder(
            "station",
            STATIONS_DIRECTORY,
            "REFSYS_STATIONS_FILE",
            STATIONS_FILE,
            config_files(INGESTION_TRIGGER, "stations", files, self.child(*self._platform.namespaces.ready)),
        )

    def _sampling(self, sampling: Mapping[str, Any]) -> Folder:
        # JSON is YAML.
        files = {SAMPLING_FILE: json.dumps({mission: windows for mission, windows in sampling.items() if windows})}
        return Folder(
            "sampling",
            SAMPLING_DIRECTORY,
            "REFSYS_PREPARATION_SAMPLING_FILE",
            SAMPLING_FILE,
            config_files(PREPARATION, "sampling", files, self.child(*self._platform.namespaces.ready)),
        )

    def _rules(self) -> Folder:
        files = {file.name: file.read_text(encoding="utf-8") for file in sorted(RULES.glob("*.yml"))}
        return Folder(
            "rules",
            RULES_DIRECTORY,
            "REFSYS_DETECTION_RULES_FOLDER",
            "",
            config_files(DETECTOR, "rules", files, self.child(*self._platform.namespaces.ready)),
        )

    def _runbooks(self) -> Folder:
        files = {f"{file.parent.name}.{file.name}": file.read_text("utf-8") for file in sorted(RUNBOOKS.rglob("*.md"))}
        return Folder(
            "runbooks",
            RUNBOOKS_DIRECTORY,
            "REFSYS_RUNBOOKS_FOLDER",
            "",
            config_files(OPERATIONS, "runbooks", files, self.child(*self._platform.namespaces.ready)),
        )

    def _routing(self, routing: Routing) -> Folder:
        files = routing_files(routing, ROUTING_DIRECTORY, SECRETS_DIRECTORY)
        return Folder(
            "routing",
            ROUTING_DIRECTORY,
            "REFSYS_ROUTING_FILE",
            ROUTING_FILE,
            config_files(ROUTER, "routing", files, self.child(*self._platform.namespaces.ready)),
        )

    def _process(
        self,
        app: App,
        part: Part,
        resources: Resources,
        folder: Folder | None = None,
        ports: dict[str, int] | None = None,
        *,
        metrics: Sequence[Metrics] = (),
        ca: Files | None = None,
    ) -> Pod:
        """Return the pod of a process that runs for ever and tells how it is."""
        env: dict[str, pulumi.Input[str]] = {"REFSYS_OPERATIONS_PORT": str(PROCESS_PORT)}
        mounts: list[Mount] = []
        if folder:
            env[folder.variable] = f"{folder.directory}/{folder.file}".rstrip("/")
            mounts = [config_mount(f"{folder.name}-files", folder.directory, folder.files)]
        return self._pod(
            app,
            part + Part(env),
            resources,
            mounts=mounts,
            files=[folder.files] if folder else [],
            ca=ca,
            ports=ports,
            metrics=(Metrics("metrics", PROCESS_PORT), *metrics),
            probes=http_probes(PROCESS_PORT, ready="/readyz", live="/healthz", start_seconds=START_SECONDS),
        )

    def _pod(
        self,
        app: App,
        part: Part,
        resources: Resources,
        *,
        mounts: Sequence[Mount] = (),
        files: Sequence[Files] = (),
        ca: Files | None = None,
        ports: dict[str, int] | None = None,
        metrics: Sequence[Metrics] = (),
        probes: Probes | None = None,
    ) -> Pod:
        ca = ca or self._ca
        holder = Holder(app, part.database, part.dns_names, part.secrets, part.reads)
        self._holders.append(holder)
        fetched = secrets_env(app, values=bool(part.secrets), database=bool(part.database), dns_names=part.dns_names)
        # Another value makes another pod: not all programs read what they have a second time.
        values = Files(pulumi.Output.from_input(app.name), digest(part.secrets))
        return Pod(
            app,
            image=self._context.image("services"),
            user=UNPRIVILEGED_USER,
            args=(app.name,),
            env={**part.env, **fetched},
            mounts=(
                config_mount("ca", CA_DIRECTORY, ca),
                *secrets_mounts(),
                scratch_mount("temporary", "/tmp", "64Mi"),  # noqa: S108 - the pod's own
                *mounts,
            ),
            files=(ca, values, *files),
            resources=resources,
            ports=ports or {},
            metrics=metrics,
            probes=probes,
            grace_seconds=60,
        )
