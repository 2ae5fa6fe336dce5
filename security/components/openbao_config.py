"""OpenBao's configuration: the server's file, and who may have which secrets, as data for the job that sets it up."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from refsys.platform.components.names import (
    OPENBAO,
    OPENBAO_PORT,
    OPENBAO_SETUP,
    POSTGRESQL,
    POSTGRESQL_PORT,
    SECRETS_AUDIENCE,
    App,
)
from refsys.platform.components.postgresql_config import CREDENTIALS_ROLE

ADMINISTRATOR = "administrator"
DATA_DIRECTORY = "/var/lib/openbao"
CONFIG_DIRECTORY = "/etc/refsys/openbao"
TLS_DIRECTORY = "/etc/refsys/tls"
SEAL_DIRECTORY = "/etc/refsys/seal"
SEAL_KEY = "1"
"""Name of the seal's key, and of its file. Another key gets another name (docs/security/secrets.md)."""

SNAPSHOT = "sys/storage/raft/snapshot"
"""The path of a copy of everything, encrypted as on the volume."""

TOKEN_PERIOD = "1h"  # noqa: S105 - a time
CREDENTIALS_TTL = "1h"
CREDENTIALS_MAX_TTL = "24h"
CERTIFICATE_TTL = "24h"

Document = dict[str, Any]


@dataclass(frozen=True)
class Holder:
    """Who gets secrets, by its service account: users of a database role, certificates, values of the stack."""

    app: App
    database: str = ""
    """The role in PostgreSQL whose rights its short-lived users have."""
    dns_names: tuple[str, ...] = ()
    """Names of the certificates it may ask for."""
    values: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    """Other paths that it may read."""

    @property
    def name(self) -> str:
        """Its role, policy and path in every engine."""
        return self.app.name


def server_hcl() -> str:
    """Return the server's configuration.

    The server initialises itself when its storage is empty: it makes the one role that sets up everything else, and
    then gives up the root token, which nobody ever sees.
    """
    administrator = json.dumps(_policy({"*": ["create", "read", "update", "patch", "delete", "list", "sudo"]}))
    role = _auth_role(OPENBAO_SETUP, ADMINISTRATOR)
    requests: tuple[tuple[str, str, Document], ...] = (
        ("mount", "sys/auth/kubernetes", {"type": "kubernetes"}),
        ("reviewer", "auth/kubernetes/config", {"kubernetes_host": "https://kubernetes.default.svc.cluster.local"}),
        ("policy", f"sys/policies/acl/{ADMINISTRATOR}", {"policy": administrator}),
        ("role", f"auth/kubernetes/role/{ADMINISTRATOR}", role),
        ("end", "auth/token/revoke-self", {}),
    )
    return f"""\
api_addr     = "https://{OPENBAO.host}:{OPENBAO_PORT}"
cluster_addr = "https://127.0.0.1:8201"
log_format   = "json"

storage "raft" {{
  path    = "{DATA_DIRECTORY}"
  node_id = "{OPENBAO.name}"
}}

listener "tcp" {{
  address         = "0.0.0.0:{OPENBAO_PORT}"
  cluster_address = "127.0.0.1:8201"
  tls_cert_file   = "{TLS_DIRECTORY}/tls.crt"
  tls_key_file    = "{TLS_DIRECTORY}/tls.key"
}}

seal "static" {{
  current_key_id = "{SEAL_KEY}"
  current_key    = "file://{SEAL_DIRECTORY}/{SEAL_KEY}"
}}

audit "file" "stdout" {{
  options {{
    file_path = "stdout"
  }}
}}

initialize "administrator" {{
{"".join(_request(*request) for request in requests)}}}
"""


def wanted(holders: Iterable[Holder]) -> Document:
    """Return what OpenBao must hold beside the secrets themselves: policies, roles, engines."""
    known = sorted(holders, key=lambda holder: holder.name)
    return {
        "policies": {holder.name: _holder_policy(holder) for holder in known},
        "roles": {holder.name: _auth_role(holder.app, holder.name) for holder in known},
        "database": {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{POSTGRESQL.host}:{POSTGRESQL_PORT}"
            f"/postgres?sslmode=verify-full&sslrootcert={TLS_DIRECTORY}/ca.crt",
            "username": CREDENTIALS_ROLE,
            "password_authentication": "scram-sha-256",
            "username_template": '{{ printf "v-%s-%s-%s" .RoleName (random 10) unix_time | truncate 63 }}',
            "max_open_connections": 2,
            "allowed_roles": [holder.name for holder in known if holder.database],
        },
        "database_roles": {holder.name: _database_role(holder.database) for holder in known if holder.database},
        "certificate_roles": {holder.name: _certificate_role(holder) for holder in known if holder.dns_names},
    }


def _holder_policy(holder: Holder) -> Document:
    """Return the policy of a holder, which may also keep and give back what it got."""
    own = ("auth/token/renew-self", "auth/token/revoke-self", "sys/leases/renew")
    rights = {path: ["update"] for path in own} | {path: ["read"] for path in holder.reads}
    if holder.values:
        rights[f"kv/{holder.name}"] = ["read"]
    if holder.database:
        rights[f"database/creds/{holder.name}"] = ["read"]
    if holder.dns_names:
        rights[f"pki/issue/{holder.name}"] = ["update"]
    return _policy(rights)


def _policy(rights: Mapping[str, list[str]]) -> Document:
    return {"path": {path: {"capabilities": capabilities} for path, capabilities in sorted(rights.items())}}


def _auth_role(app: App, policy: str) -> Document:
    """Return who logs in as `app`; its token lives as long as it is renewed, an administrator's 15 minutes."""
    life = {"token_ttl": "15m", "token_max_ttl": "15m"} if policy == ADMINISTRATOR else {"token_period": TOKEN_PERIOD}
    return {
        "bound_service_account_names": [app.name],
        "bound_service_account_namespaces": [app.namespace],
        "audience": SECRETS_AUDIENCE,
        "alias_name_source": "serviceaccount_name",
        "token_policies": [policy],
        "token_no_default_policy": True,
        **life,
    }


def _database_role(role: str) -> Document:
    """Return how users with the rights of `role` are made and ended.

    What they make belongs to `role`, which they are from their first statement on, and so outlives them.
    """
    return {
        "db_name": POSTGRESQL.name,
        "creation_statements": [
            f"CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' "
            f'IN ROLE "{role}"',
            f"ALTER ROLE \"{{{{name}}}}\" SET role = '{role}'",
        ],
        "renew_statements": ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"],
        "revocation_statements": [
            'ALTER ROLE "{{name}}" NOLOGIN',
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'",
            'DROP ROLE IF EXISTS "{{name}}"',
        ],
        "default_ttl": CREDENTIALS_TTL,
        "max_ttl": CREDENTIALS_MAX_TTL,
    }


def _certificate_role(holder: Holder) -> Document:
    return {
        "allowed_domains": list(holder.dns_names),
        "allow_bare_domains": True,
        "allow_subdomains": False,
        "allow_localhost": False,
        "allow_ip_sans": False,
        "require_cn": False,
        "key_type": "ec",
        "key_bits": 256,
        "key_usage": ["DigitalSignature"],
        "server_flag": True,
        "client_flag": False,
        # They live too short to be revoked, and there would be thousands.
        "no_store": True,
        "ttl": CERTIFICATE_TTL,
        "max_ttl": CERTIFICATE_TTL,
    }


def _request(name: str, path: str, data: Document) -> str:
    # JSON's texts, lists and objects on one line are HCL's too.
    values = "".join(f"      {key} = {json.dumps(value)}\n" for key, value in data.items())
    return f"""\
  request "{name}" {{
    operation = "update"
    path      = "{path}"
    data = {{
{values}    }}
  }}
"""
