"""What a process of the chain is connected to: its settings and its own secrets, by part of the platform."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi

from refsys.platform.components import Platform
from refsys.platform.components.context import CertificateAuthority, Passwords
from refsys.platform.components.names import (
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    CLAMAV,
    CLAMAV_PORT,
    LOG_STORE,
    LOG_STORE_PORT,
    PROMETHEUS,
    PROMETHEUS_PORT,
    THANOS_QUERY,
    THANOS_QUERY_PORT,
    App,
)
from refsys.platform.components.object_store import METRICS_ACCOUNT, METRICS_BUCKET
from refsys.platform.components.postgresql_config import DATABASE
from refsys.platform.components.realm import AUDIENCE
from refsys.platform.components.secrets import CA_FILE, CERTIFICATE_FILE, DATABASE_FILE, SECRETS_DIRECTORY


@dataclass(frozen=True)
class Part:
    """Environment variables, and what becomes files in `SECRETS_DIRECTORY`."""

    env: dict[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: dict[str, pulumi.Input[str]] = field(default_factory=dict)
    """Of the stack, by the name of the file."""
    database: str = ""
    """The role in PostgreSQL that short-lived users are members of."""
    dns_names: tuple[str, ...] = ()
    """Names of the certificate."""
    reads: tuple[str, ...] = ()
    """Other paths of OpenBao that it may read."""

    def __add__(self, other: "Part") -> "Part":
        """Both together."""
        return Part(
            {**self.env, **other.env},
            {**self.secrets, **other.secrets},
            self.database or other.database,
            self.dns_names or other.dns_names,
            self.reads or other.reads,
        )


def database(platform: Platform, role: str) -> Part:
    """PostgreSQL, with the rights of `role`."""
    url = (
        f"postgresql+psycopg://{role}@{platform.postgresql.address}/{DATABASE}"
        f"?sslmode=verify-full&sslrootcert={CA_FILE}"
    )
    return Part({"REFSYS_DATABASE_URL": url, "REFSYS_DATABASE_PASSWORD_FILE": DATABASE_FILE}, database=role)


def kafka(platform: Platform, authority: CertificateAuthority, app: App, parent: pulumi.Resource) -> Part:
    """Kafka, as the principal `CN=<process>`."""
    certificate = authority.issue(f"kafka-{app.name}", common_name=app.name, parent=parent)
    return Part(
        {
            "REFSYS_KAFKA_BOOTSTRAP": platform.kafka.bootstrap,
            "REFSYS_KAFKA_CA_FILE": CA_FILE,
            "REFSYS_KAFKA_CERTIFICATE_FILE": f"{SECRETS_DIRECTORY}/kafka.crt",
            "REFSYS_KAFKA_KEY_FILE": f"{SECRETS_DIRECTORY}/kafka.key",
        },
        {"kafka.crt": certificate.certificate_pem, "kafka.key": certificate.key_pem},
    )


def log_store(authority: CertificateAuthority, app: App, parent: pulumi.Resource) -> Part:
    """The store of logs and alerts, as the client `CN=<process>`."""
    certificate = authority.issue(f"client-{app.name}", common_name=app.name, parent=parent)
    return Part(
        _client("LOG_STORE", LOG_STORE, LOG_STORE_PORT),
        {"client.crt": certificate.certificate_pem, "client.key": certificate.key_pem},
    )


def alertmanager() -> Part:
    """Alertmanager, with the certificate for the log store."""
    return Part(_client("ALERTMANAGER", ALERTMANAGER, ALERTMANAGER_PORT))


def prometheus() -> Part:
    """Prometheus, with the certificate for the log store."""
    return Part(_client("PROMETHEUS", PROMETHEUS, PROMETHEUS_PORT))


def metrics_history() -> Part:
    """Metrics of years, with the certificate for the log store."""
    return Part({"REFSYS_PROMETHEUS_HISTORY_URL": f"https://{THANOS_QUERY.host}:{THANOS_QUERY_PORT}"})


def metrics_bucket() -> Part:
    """The bucket of metrics of years, and who may use it."""
    return Part({"REFSYS_METRICS_BUCKET": METRICS_BUCKET, "REFSYS_METRICS_ACCOUNT": METRICS_ACCOUNT})


def applications(buckets: Sequence[str] = (), topics: Sequence[str] = ()) -> Part:
    """Buckets and topics of hosted applications; those that are no longer named go."""
    return Part(
        {
            "REFSYS_APPLICATIONS_BUCKETS": json.dumps(list(buckets)),
            "REFSYS_APPLICATIONS_TOPICS": json.dumps(list(topics)),
        }
    )


def _client(name: str, server: App, port: int) -> dict[str, pulumi.Input[str]]:
    return {
        f"REFSYS_{name}_URL": f"https://{server.host}:{port}",
        f"REFSYS_{name}_CA_FILE": CA_FILE,
        f"REFSYS_{name}_CERTIFICATE_FILE": f"{SECRETS_DIRECTORY}/client.crt",
        f"REFSYS_{name}_KEY_FILE": f"{SECRETS_DIRECTORY}/client.key",
    }


def object_store(platform: Platform) -> Part:
    """The object store."""
    store = platform.object_store
    return Part(
        {
            "REFSYS_S3_ENDPOINT": store.endpoint,
            "REFSYS_S3_REGION": store.region,
            "REFSYS_S3_CA_FILE": CA_FILE,
            "REFSYS_S3_ACCESS_KEY_FILE": f"{SECRETS_DIRECTORY}/s3-access-key",
            "REFSYS_S3_SECRET_KEY_FILE": f"{SECRETS_DIRECTORY}/s3-secret-key",
        },
        {"s3-access-key": store.access_key, "s3-secret-key": store.secret_key},
    )


def uploads(folder: str) -> Part:
    """The folder of uploads on its volume."""
    return Part({"REFSYS_INGESTOR_FOLDER": folder})


def virus_scan() -> Part:
    """ClamAV."""
    return Part({"REFSYS_CLAMD_HOST": CLAMAV.host, "REFSYS_CLAMD_PORT": str(CLAMAV_PORT)})


def delivery(key: pulumi.Input[str]) -> Part:
    """Subscriptions and orders: the key that users' endpoints are kept with."""
    return Part({"REFSYS_DELIVERY_KEY_FILE": f"{SECRETS_DIRECTORY}/delivery-key"}, {"delivery-key": key})


def api(platform: Platform, app: App, public_url: str) -> Part:
    """A service's own HTTPS side, and whose tokens it takes."""
    oidc = platform.keycloak.endpoints
    return Part(
        {
            "REFSYS_PUBLIC_URL": public_url,
            "REFSYS_TLS_CERTIFICATE_FILE": CERTIFICATE_FILE,
            "REFSYS_TLS_KEY_FILE": CERTIFICATE_FILE,
            "REFSYS_OIDC_ISSUER": oidc.issuer,
            "REFSYS_OIDC_JWKS_URL": oidc.jwks_url,
            "REFSYS_OIDC_CA_FILE": CA_FILE,
            "REFSYS_OIDC_AUDIENCE": AUDIENCE,
        },
        dns_names=app.dns_names,
    )


def api_key(passwords: Passwords, parent: pulumi.Resource) -> Part:
    """The key that callers of the dead letters' API show."""
    return Part(
        {"REFSYS_API_KEY_FILE": f"{SECRETS_DIRECTORY}/api-key"},
        {"api-key": passwords("dead-letters-api-key", parent)},
    )
