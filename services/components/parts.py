"""What a process of the chain is connected to: its settings and its own secrets, by part of the platform."""

from dataclasses import dataclass, field

import pulumi

from refsys.platform.components import Platform
from refsys.platform.components.context import CertificateAuthority, Passwords
from refsys.platform.components.names import CLAMAV, CLAMAV_PORT, App
from refsys.platform.components.postgresql_config import DATABASE
from refsys.platform.components.realm import AUDIENCE

CA_FILE = "/etc/refsys/ca/ca.crt"
SECRETS_DIRECTORY = "/etc/refsys/secrets"


@dataclass(frozen=True)
class Part:
    """Environment variables, and secrets that become files in `SECRETS_DIRECTORY`."""

    env: dict[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: dict[str, pulumi.Input[str]] = field(default_factory=dict)

    def __add__(self, other: "Part") -> "Part":
        """Both together."""
        return Part({**self.env, **other.env}, {**self.secrets, **other.secrets})


def database(platform: Platform, role: str) -> Part:
    """PostgreSQL, as `role`."""
    url = (
        f"postgresql+psycopg://{role}@{platform.postgresql.address}/{DATABASE}"
        f"?sslmode=verify-full&sslrootcert={CA_FILE}"
    )
    return Part(
        {
            "REFSYS_DATABASE_URL": url,
            "REFSYS_DATABASE_PASSWORD_FILE": f"{SECRETS_DIRECTORY}/database-password",
        },
        {"database-password": platform.postgresql.passwords[role]},
    )


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
    """The folder of uploads on its volume, and the virus scan."""
    return Part(
        {
            "REFSYS_INGESTOR_FOLDER": folder,
            "REFSYS_CLAMD_HOST": CLAMAV.host,
            "REFSYS_CLAMD_PORT": str(CLAMAV_PORT),
        }
    )


def delivery(key: pulumi.Input[str]) -> Part:
    """Subscriptions and orders: the key that users' endpoints are kept with."""
    return Part({"REFSYS_DELIVERY_KEY_FILE": f"{SECRETS_DIRECTORY}/delivery-key"}, {"delivery-key": key})


def api(
    platform: Platform, authority: CertificateAuthority, app: App, public_url: str, parent: pulumi.Resource
) -> Part:
    """A service's own HTTPS side, and whose tokens it takes."""
    certificate = authority.issue(app.name, dns_names=app.dns_names, parent=parent)
    oidc = platform.keycloak.endpoints
    return Part(
        {
            "REFSYS_PUBLIC_URL": public_url,
            "REFSYS_TLS_CERTIFICATE_FILE": f"{SECRETS_DIRECTORY}/tls.crt",
            "REFSYS_TLS_KEY_FILE": f"{SECRETS_DIRECTORY}/tls.key",
            "REFSYS_OIDC_ISSUER": oidc.issuer,
            "REFSYS_OIDC_JWKS_URL": oidc.jwks_url,
            "REFSYS_OIDC_CA_FILE": CA_FILE,
            "REFSYS_OIDC_AUDIENCE": AUDIENCE,
        },
        {"tls.crt": certificate.certificate_pem, "tls.key": certificate.key_pem},
    )


def api_key(passwords: Passwords, parent: pulumi.Resource) -> Part:
    """The key that callers of the dead letters' API show."""
    return Part(
        {"REFSYS_API_KEY_FILE": f"{SECRETS_DIRECTORY}/api-key"},
        {"api-key": passwords("dead-letters-api-key", parent)},
    )
