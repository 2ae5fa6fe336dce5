"""PostgreSQL's configuration files, and the SQL that makes its databases, schemas and roles."""

from collections.abc import Iterable
from typing import NamedTuple

DATABASE = "refsys"
KEYCLOAK_DATABASE = "keycloak"
OWNER = "migrate"
"""Owns the database `refsys` and its schemas; only the migrations log in as it."""
SCHEMAS = (
    "ingestion",
    "catalogue",
    "distribution",
    "search",
    "quota",
    "delivery",
    "lifecycle",
    "reconciliation",
    "dead_letters",
    "compression",
    "routing",
    "ingestor",
)


class Access(NamedTuple):
    """What a service's role may do with the tables of one schema."""

    role: str
    schema: str
    privileges: str


_WRITE = "SELECT, INSERT, UPDATE, DELETE"

ACCESS = (
    Access("ingestion", "ingestion", _WRITE),
    Access("catalogue", "catalogue", _WRITE),
    Access("compression", "compression", _WRITE),
    Access("publisher", "distribution", _WRITE),
    Access("prip", "distribution", "SELECT"),
    Access("metadata_search", "catalogue", "SELECT, DELETE"),
    Access("metadata_search", "distribution", "SELECT, DELETE"),
    Access("metadata_search", "search", "SELECT, INSERT, UPDATE"),
    Access("prip", "quota", _WRITE),
    Access("stac", "distribution", "SELECT"),
    Access("prip", "delivery", _WRITE),
    Access("notifier", "distribution", "SELECT"),
    Access("notifier", "delivery", _WRITE),
    Access("cadip", "distribution", "SELECT"),
    Access("cadip", "quota", _WRITE),
    Access("lifecycle", "lifecycle", _WRITE),
    Access("lifecycle", "reconciliation", _WRITE),
    Access("lifecycle", "distribution", _WRITE),
    Access("lifecycle", "delivery", _WRITE),
    Access("lifecycle", "catalogue", "SELECT, UPDATE, DELETE"),
    Access("lifecycle", "ingestion", "SELECT"),
    Access("reconcile", "reconciliation", _WRITE),
    Access("reconcile", "distribution", "SELECT, UPDATE"),
    Access("reconcile", "catalogue", "SELECT, UPDATE"),
    Access("reconcile", "ingestion", "SELECT"),
    Access("reconcile", "lifecycle", "SELECT, UPDATE"),
    Access("dlq", "dead_letters", _WRITE),
    Access("operations", "lifecycle", _WRITE),
    Access("operations", "reconciliation", "SELECT, INSERT"),
    Access("operations", "dead_letters", "SELECT, UPDATE, DELETE"),
    Access("operations", "ingestion", "SELECT, UPDATE"),
    # Operators look at transfers through the PRIP's operations API, and have failed ones tried again.
    Access("prip", "routing", "SELECT, UPDATE"),
    Access("router", "routing", _WRITE),
    Access("ingestor", "ingestor", _WRITE),
    # Uploaders follow their files through the chain.
    Access("ingestor", "ingestion", "SELECT"),
    Access("ingestor", "catalogue", "SELECT"),
    Access("ingestor", "distribution", "SELECT"),
)

ROLES = (OWNER, *dict.fromkeys(access.role for access in ACCESS), KEYCLOAK_DATABASE)
"""Every role but the superuser; each has a password."""

_SETTINGS = {
    "max_connections": "200",  # all pools of the chain and of Keycloak full, with forty files in work, take 150
    "shared_buffers": "'256MB'",
    "effective_cache_size": "'768MB'",
    "work_mem": "'8MB'",
    "maintenance_work_mem": "'64MB'",
    "max_wal_size": "'1GB'",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_lock_waits": "on",
    "log_min_duration_statement": "'1s'",
    "idle_in_transaction_session_timeout": "'5min'",
}


def postgresql_conf() -> str:
    """Return the settings on top of the image's own (TLS, SCRAM, logs), sized for a pod of 1 GiB."""
    return "".join(f"{name} = {value}\n" for name, value in _SETTINGS.items())


def pg_hba_conf() -> str:
    """Return `pg_hba.conf`: TLS and SCRAM for all, each role in its own database."""
    services = ",".join(role for role in ROLES if role != KEYCLOAK_DATABASE)
    lines = (
        "local all postgres peer",
        "hostssl all postgres 0.0.0.0/0 scram-sha-256",
        f"hostssl {DATABASE} {services} 0.0.0.0/0 scram-sha-256",
        f"hostssl {KEYCLOAK_DATABASE} {KEYCLOAK_DATABASE} 0.0.0.0/0 scram-sha-256",
    )
    return "".join(f"{line}\n" for line in lines)


def roles_sql(password_directory: str) -> str:
    """Return a psql script that can run again and again; a role's password is the file of its name."""
    parts = [
        "\\set ON_ERROR_STOP on\n",
        "-- No password in the server's log, whatever fails.\nSET log_min_error_statement = panic;\n",
        *(_role(role, password_directory) for role in ROLES),
        _database(DATABASE, OWNER, dict.fromkeys(access.role for access in ACCESS)),
        _database(KEYCLOAK_DATABASE, KEYCLOAK_DATABASE, []),
        f"\\connect {DATABASE}\n",
        "CREATE EXTENSION IF NOT EXISTS postgis;\n",
        *(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {OWNER};\n" for schema in SCHEMAS),
        *(_access(access) for access in ACCESS),
    ]
    return "\n".join(parts)


def _role(role: str, password_directory: str) -> str:
    return (
        f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS "  # noqa: S608
        f"(SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec\n"
        f"\\set password `cat {password_directory}/{role}`\n"
        f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
        "PASSWORD :'password';\n"
    )


def _database(name: str, owner: str, roles: Iterable[str]) -> str:
    # Byte order: prefix searches use plain indexes, and an upgrade of the C library can't spoil them.
    grants = "".join(f"GRANT CONNECT ON DATABASE {name} TO {role};\n" for role in roles)
    return (
        f"SELECT 'CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING ''UTF8'' "  # noqa: S608
        f"LC_COLLATE ''C'' LC_CTYPE ''C.UTF-8''' WHERE NOT EXISTS "
        f"(SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n"
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n{grants}"
    )


def _access(access: Access) -> str:
    """Grant on the tables that are there and on those that migrations will make."""
    role, schema, privileges = access
    default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {schema} GRANT"
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {role};\n"
        f"GRANT {privileges} ON ALL TABLES IN SCHEMA {schema} TO {role};\n"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};\n"
        f"{default} {privileges} ON TABLES TO {role};\n"
        f"{default} USAGE ON SEQUENCES TO {role};\n"
    )
