"""What a hosted application is connected to: its settings and secrets, and who it is to OpenBao."""

from dataclasses import dataclass

import pulumi

from refsys.platform.components import Platform
from refsys.platform.components.applications import INTERFACES, Hosted
from refsys.platform.components.context import CertificateAuthority
from refsys.platform.components.names import HTTPS_PORT
from refsys.platform.components.realm import REALM
from refsys.platform.components.secrets import CA_FILE, SECRETS_DIRECTORY
from refsys.security.components import Holder
from refsys.services.components.parts import Part, database, kafka, object_store

CLIENT_SECRET = "client-secret"  # noqa: S105 - a name


@dataclass(frozen=True)
class Connected:
    """An application with its connections, and those of what saves its data."""

    hosted: Hosted
    part: Part
    backup: Part

    @property
    def holders(self) -> list[Holder]:
        """Who gets which secrets."""
        part, backup = self.part, self.backup
        holders = [Holder(self.hosted.app, part.database, part.dns_names, part.secrets)]
        if self.hosted.backup:
            holders.append(Holder(self.hosted.backup_app, backup.database, (), backup.secrets))
        return holders


def connected(
    hosted: Hosted, platform: Platform, authority: CertificateAuthority, parent: pulumi.Resource
) -> Connected:
    """Return the application with its connections; `parent` has its certificates."""
    part = Part(dns_names=hosted.app.dns_names)
    saved = object_store(platform) if hosted.backup else Part()
    if hosted.database:
        own = _database(platform, hosted)
        part += own
        saved += own
    if hosted.object_store:
        part += _bucket(platform, hosted)
    if hosted.kafka:
        part += kafka(platform, authority, hosted.app, parent) + Part({"REFSYS_KAFKA_TOPIC": hosted.bucket})
    if hosted.interfaces:
        part += _client(platform, hosted)
    return Connected(hosted, part, saved)


def _database(platform: Platform, hosted: Hosted) -> Part:
    """PostgreSQL, where what has no schema in its name is in its own."""
    role = hosted.database_role
    part = database(platform, role)
    url = f"{part.env['REFSYS_DATABASE_URL']}&options=-csearch_path%3D{role}%2Cpublic"
    return part + Part({"REFSYS_DATABASE_URL": url, "REFSYS_DATABASE_SCHEMA": role})


def _bucket(platform: Platform, hosted: Hosted) -> Part:
    """The object store, as an account that has one bucket."""
    store = object_store(platform)
    keys: dict[str, pulumi.Input[str]] = {
        "s3-access-key": hosted.bucket,
        "s3-secret-key": platform.object_store.secret_keys[hosted.bucket],
    }
    return Part({**store.env, "REFSYS_S3_BUCKET": hosted.bucket}, keys)


def _client(platform: Platform, hosted: Hosted) -> Part:
    """Interfaces of the environment, inside the cluster, and a client of the realm that may ask them."""
    keycloak = platform.keycloak
    hosts = {name: INTERFACES[name][0].host for name in hosted.interfaces}
    return Part(
        {
            "REFSYS_OAUTH_TOKEN_URL": f"{keycloak.internal_url}/realms/{REALM}/protocol/openid-connect/token",
            "REFSYS_OAUTH_CLIENT_ID": hosted.service_client,
            "REFSYS_OAUTH_CLIENT_SECRET_FILE": f"{SECRETS_DIRECTORY}/{CLIENT_SECRET}",
            "REFSYS_OAUTH_CA_FILE": CA_FILE,
            **{f"REFSYS_{name.upper()}_URL": f"https://{host}:{HTTPS_PORT}" for name, host in hosts.items()},
        },
        {CLIENT_SECRET: keycloak.application_secrets[hosted.service_client]},
    )
