"""Settings of the services: environment variables `REFSYS_…`, as listed in docs/architecture.md.

Each group of settings is a model of its own, so that a process only asks for what it uses.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import AfterValidator, Field, HttpUrl, IPvAnyNetwork, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable, the reason and the fix in one line."""


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; mount the file or correct the path") from None


ReadableFile = Annotated[Path, AfterValidator(_readable)]
ApplicationName = Annotated[str, Field(pattern=r"^app-[a-z0-9-]+$")]


class DatabaseSettings(BaseSettings):
    """Where PostgreSQL is. The password is read from a file on every new connection, so it can rotate.

    A user that rotates with it stands before it, on a line of its own.
    """

    model_config = SettingsConfigDict(env_prefix="REFSYS_DATABASE_")

    url: str = Field(pattern=r"^postgresql(\+psycopg)?://[^:@/]+@[^/]+/.+$")
    password_file: ReadableFile | None = None


class KafkaSettings(BaseSettings):
    """Where Kafka is, and the client certificate for mutual TLS (all three files, or none on loopback)."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_KAFKA_")

    bootstrap: str = Field(min_length=1)
    ca_file: ReadableFile | None = None
    certificate_file: ReadableFile | None = None
    key_file: ReadableFile | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        files = (self.ca_file, self.certificate_file, self.key_file)
        if any(files) and not all(files):
            raise ValueError("mutual TLS needs CA_FILE, CERTIFICATE_FILE and KEY_FILE together; set all three")
        return self


class _ClientSettings(BaseSettings):
    """A server that asks for a client certificate (all three files, or none on loopback)."""

    url: HttpUrl
    ca_file: ReadableFile | None = None
    certificate_file: ReadableFile | None = None
    key_file: ReadableFile | None = None


class LogStoreSettings(_ClientSettings):
    """Where the searchable store of logs and alerts is."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_LOG_STORE_")


class AlertmanagerSettings(_ClientSettings):
    """Where alerts are sent to."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_ALERTMANAGER_")


class PrometheusSettings(_ClientSettings):
    """Where metrics are asked for."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_PROMETHEUS_")

    history_url: HttpUrl | None = None
    """Who answers for years (Thanos' querier); without, only Prometheus itself is asked."""


class RunbookSettings(BaseSettings):
    """Where the runbooks are, each a file `<area>.<name>.md`; without, alerts have no link to theirs."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_RUNBOOKS_")

    folder: Path | None = None


class DetectionSettings(BaseSettings):
    """Where the Sigma rules are, and where their runbooks can be read."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_DETECTION_")

    rules_folder: Path
    runbooks_url: HttpUrl | None = None


class S3Settings(BaseSettings):
    """Where the object store is."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_S3_")

    endpoint: HttpUrl
    region: str = "us-east-1"
    ca_file: ReadableFile | None = None
    access_key_file: ReadableFile
    secret_key_file: ReadableFile


class ExecutionSettings(BaseSettings):
    """The API server, and the images of processors: name → reference with digest."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_EXECUTION_")

    api_url: HttpUrl = HttpUrl("https://kubernetes.default.svc.cluster.local")
    api_token_file: ReadableFile = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    api_ca_file: ReadableFile = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
    images: dict[str, str] = {}


class RunnerSettings(BaseSettings):
    """A production job's order, its work folder, the folder of its tasks' program, and the node's inputs, if kept."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_RUNNER_")

    order_file: ReadableFile
    work_folder: Path
    tasks_folder: Path
    cache_folder: Path | None = None
    cache_mebibytes: int = Field(default=20_480, ge=0)


class ApplicationsSettings(BaseSettings):
    """What hosted applications have of their own: buckets, each for the account of its name, and topics."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_APPLICATIONS_")

    buckets: tuple[ApplicationName, ...] = ()
    topics: tuple[ApplicationName, ...] = ()


class MetricsBucketSettings(BaseSettings):
    """The bucket of metrics that are kept for years, if they are, and the account that may use it."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_METRICS_")

    bucket: str | None = None
    account: str | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.bucket is None) != (self.account is None):
            raise ValueError("BUCKET and ACCOUNT belong together; set both or none")
        return self


class OidcSettings(BaseSettings):
    """How access tokens are verified."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_OIDC_")

    issuer: HttpUrl
    jwks_url: HttpUrl
    ca_file: ReadableFile | None = None
    audience: str = "refsys"


class ApiSettings(BaseSettings):
    """The HTTPS side of a service with an API: its address as users know it, and the port it listens on."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    public_url: HttpUrl
    https_port: int = Field(default=8443, ge=1, le=65535)
    tls_certificate_file: ReadableFile
    tls_key_file: ReadableFile


class PripSettings(BaseSettings):
    """Who sees what, and where products are downloaded."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_PRIP_")

    collections_file: ReadableFile | None = None
    redirect_url: HttpUrl | None = None


class QuotaSettings(BaseSettings):
    """What each user may use; the defaults are those of the Copernicus data space."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_QUOTA_")

    requests_per_minute: int = Field(default=2000, ge=1)
    downloads: int = Field(default=4, ge=1)
    bytes_per_month: int = Field(default=12 * 10**12, ge=1)


class StacSettings(BaseSettings):
    """Where STAC items and what was ordered find the products: the address of the PRIP that clients know."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    prip_url: HttpUrl


class OnDemandSettings(BaseSettings):
    """What each user may order: orders that are open at a time, jobs in 24 hours, jobs of one order."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_ONDEMAND_")

    open_orders: int = Field(default=5, ge=1)
    jobs_per_day: int = Field(default=100, ge=1)
    jobs_per_order: int = Field(default=50, ge=1, le=1000)


class StationsSettings(BaseSettings):
    """Where the list of stations is."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    stations_file: ReadableFile


class DeliverySettings(BaseSettings):
    """Notifications to users' endpoints.

    `key_file` holds the secrets that endpoints' passwords are encrypted with, the newest first, one a line.
    `allowed_networks` (CIDR, a JSON list) may be notified although they are not public; `ca_file` is trusted
    besides the public authorities.
    """

    model_config = SettingsConfigDict(env_prefix="REFSYS_DELIVERY_")

    key_file: ReadableFile
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    ca_file: ReadableFile | None = None


SERVICES = Path(__file__).parents[1]


class LifecycleSettings(BaseSettings):
    """Where the retention policies are; those of the distribution unless set."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_LIFECYCLE_")

    policies_file: ReadableFile = SERVICES / "lifecycle/policies.yaml"


class KpiSettings(BaseSettings):
    """How soon products have to be published; as the distribution has it unless set."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_KPI_")

    timeliness_file: ReadableFile = SERVICES / "kpi/timeliness.yaml"


class ReconciliationSettings(BaseSettings):
    """What changed less than `settle_seconds` ago may still be on its way through the chain and is left alone."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_RECONCILIATION_")

    settle_seconds: float = Field(default=3600, ge=0)


class DeadLetterSettings(BaseSettings):
    """Where the rules for dead letters are, and how many days one is kept."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_DLQ_")

    rules_file: ReadableFile = SERVICES / "dead_letters/rules.yaml"
    keep_days: int = Field(default=30, ge=1)


class ApiKeySettings(BaseSettings):
    """The key that callers of the dead letters' API show beside their token."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    api_key_file: ReadableFile


class IngestorSettings(BaseSettings):
    """The folder where uploads lie until they are handed over, and what may be uploaded (all in bytes).

    `max_bytes` must stay within what clamd takes, which is 2 GB.
    """

    model_config = SettingsConfigDict(env_prefix="REFSYS_INGESTOR_")

    folder: Path
    max_bytes: int = Field(default=10**9, ge=1, le=2 * 10**9)
    uploads_per_user: int = Field(default=8, ge=1)
    volume_bytes: int = Field(default=20 * 10**9, ge=1)

    @field_validator("folder")
    @classmethod
    def _writable(cls, value: Path) -> Path:
        if not (value.is_dir() and os.access(value, os.W_OK)):
            raise ValueError(f"{value} is no folder that can be written; mount a volume there")
        return value


class ClamdSettings(BaseSettings):
    """Where clamd is."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_CLAMD_")

    host: str = Field(min_length=1)
    port: int = Field(default=3310, ge=1, le=65535)


class ExporterSettings(BaseSettings):
    """Port of ClamAV's metrics; 0 takes a free one."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    clamav_metrics_port: int = Field(default=9091, ge=0, le=65535)


class PreparationSettings(BaseSettings):
    """Where the windows of sampled production are, by mission; without them everything is processed."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_PREPARATION_")

    sampling_file: ReadableFile | None = None


class RoutingSettings(BaseSettings):
    """Where the routing rules are (docs/routing.md)."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    routing_file: ReadableFile


class OperationsSettings(BaseSettings):
    """Port of the probes and metrics; 0 takes a free one."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    operations_port: int = Field(default=9090, ge=0, le=65535)


Settings = TypeVar("Settings", bound=BaseSettings)


def load(model: type[Settings]) -> Settings:
    """Read one group of settings from the environment; raise `SettingsError` with a single clear line."""
    try:
        return model()
    except ValidationError as error:
        prefix = model.model_config.get("env_prefix", "")
        parts = []
        for problem in error.errors(include_url=False, include_input=False):
            name = prefix + "_".join(str(part) for part in problem["loc"]).upper()
            if problem["type"] == "missing":
                parts.append(f"{name} is not set; set it in the environment of the process")
            else:
                parts.append(f"{name} is wrong: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("; ".join(parts)) from None


T = TypeVar("T")


def read_file(path: Path, parse: Callable[[Any], T], *, setting: str = "", of: str = "") -> T:
    """Read a settings file in YAML; `parse` makes the settings of what it holds.

    Raises:
        SettingsError: it is wrong; the message names the `setting` that says where it is, the field (after `of`, what
            the file is a list of) and the reason.
    """
    shown = f"{setting} {path}".strip()
    try:
        return parse(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SettingsError(f"{shown} is not YAML: {str(error).replace(chr(10), ' ')}") from None
    except ValidationError as error:
        problems = [
            f"{of} {'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError(f"{shown}: {'; '.join(map(str.strip, problems))}") from None


def secret(path: Path) -> str:
    """The secret in a file, without the line end an editor may have added."""
    return path.read_text(encoding="utf-8").strip()
