"""PostgreSQL's configuration files, and the SQL that makes its databases, schemas and roles."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

DATABASE = "refsys"
KEYCLOAK_DATABASE = "keycloak"
OWNER = "migrate"
"""Owns the database `refsys` and its schemas; only users of the migrations are members."""
CREDENTIALS_ROLE = "openbao"
"""Makes and ends the short-lived users, and nothing else."""
EXPORTER = "exporter"
"""Sees the server's figures, and no table; logs in from the same pod alone, by the user of its process."""
EXPORTER_USER = "nonroot"
"""That user, as the image of the server calls it."""
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
    "monitoring",
    "production",
)


class Access(NamedTuple):
    """What a service's role may do with the tables of one schema."""

    role: str
    schema: str
    privileges: str


APPLICATIONS = "applications"
"""All roles of hosted applications are members; each owns a schema of its own name, and sees no other."""

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
    # From a product's name to all that is known of it.
    Access("operations", "catalogue", "SELECT"),
    Access("operations", "distribution", "SELECT"),
    # Operators look at transfers through the PRIP's operations API, and have failed ones tried again.
    Access("prip", "routing", "SELECT, UPDATE"),
    Access("router", "routing", _WRITE),
    Access("ingestor", "ingestor", _WRITE),
    # Uploaders follow their files through the chain.
    Access("ingestor", "ingestion", "SELECT"),
    Access("ingestor", "catalogue", "SELECT"),
    Access("ingestor", "distribution", "SELECT"),
    Access("kpi", "monitoring", _WRITE),
    # What no line told of is looked up.
    Access("kpi", "ingestion", "SELECT"),
    Access("kpi", "catalogue", "SELECT"),
    Access("kpi", "distribution", "SELECT"),
    Access("operations", "monitoring", "SELECT"),
    Access("preparation", "production", _WRITE),
    # What a job waits for is looked for here.
    Access("preparation", "catalogue", "SELECT"),
    Access("execution", "production", "SELECT, INSERT, UPDATE"),
    # Beside it the migration lets it make and end jobs, and queue notifications.
    Access("ondemand", "production", "SELECT"),
    # What is ordered is looked for here, and what was made there.
    Access("ondemand", "catalogue", "SELECT"),
    Access("ondemand", "distribution", "SELECT"),
    # Operators submit, hold, restart and cancel jobs, and add chains.
    Access("operations", "production", _WRITE),
)

ROLES = (OWNER, *dict.fromkeys(access.role for access in ACCESS))
"""What the services' short-lived users are members of; nobody logs in as one of these."""
USERS = (KEYCLOAK_DATABASE, CREDENTIALS_ROLE)
"""Who logs in with a password of the stack, beside the superuser."""

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
    """Return `pg_hba.conf`: TLS and SCRAM for all, each user in its own database."""
    members = ",".join(f"+{role}" for role in (*ROLES, APPLICATIONS))
    lines = (
        "local all postgres peer",
        f"local {DATABASE} {EXPORTER} peer map={EXPORTER}",
        "hostssl all postgres 0.0.0.0/0 scram-sha-256",
        f"hostssl postgres {CREDENTIALS_ROLE} 0.0.0.0/0 scram-sha-256",
        f"hostssl {DATABASE} {members} 0.0.0.0/0 scram-sha-256",
        f"hostssl {KEYCLOAK_DATABASE} {KEYCLOAK_DATABASE} 0.0.0.0/0 scram-sha-256",
    )
    return "".join(f"{line}\n" for line in lines)


def pg_ident_conf() -> str:
    """Return `pg_ident.conf`: which user of a process may be which of the server, where names differ."""
    return f"{EXPORTER} {EXPORTER_USER} {EXPORTER}\n"


def roles_sql(password_directory: str, applications: Sequence[str] = ()) -> str:
    """Return a psql script that can run again and again; a user's password is the file of its name.

    `applications` are roles of hosted applications; those that are no longer among them go, with all that they own.
    """
    parts = [
        "\\set ON_ERROR_STOP on\n",
        "-- No password in the server's log, whatever fails.\nSET log_min_error_statement = panic;\n",
        *(_role(role, "NOLOGIN NOCREATEROLE PASSWORD NULL") for role in (*ROLES, APPLICATIONS, *applications)),
        *(f"GRANT {APPLICATIONS} TO {role};\n" for role in applications),
        _user(KEYCLOAK_DATABASE, "NOCREATEROLE", password_directory),
        _user(CREDENTIALS_ROLE, "CREATEROLE", password_directory),
        f"GRANT pg_signal_backend TO {CREDENTIALS_ROLE};\n",
        _role(EXPORTER, "LOGIN NOCREATEROLE CONNECTION LIMIT 4 PASSWORD NULL"),
        f"GRANT pg_monitor TO {EXPORTER};\n",
        _database(DATABASE, OWNER, [*dict.fromkeys(access.role for access in ACCESS), EXPORTER, APPLICATIONS]),
        _database(KEYCLOAK_DATABASE, KEYCLOAK_DATABASE, []),
        f"\\connect {DATABASE}\n",
        "CREATE EXTENSION IF NOT EXISTS postgis;\n",
        *(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {OWNER};\n" for schema in SCHEMAS),
        *(_access(access) for access in ACCESS),
        *(f"CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role};\n" for role in applications),
        _removed_applications(applications),
    ]
    return "\n".join(parts)


def _role(role: str, attributes: str) -> str:
    return (
        f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS "  # noqa: S608
        f"(SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec\n"
        f"ALTER ROLE {role} NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS {attributes};\n"
    )


def _user(user: str, attributes: str, password_directory: str) -> str:
    password = f"\\set password `cat {password_directory}/{user}`\n"
    return password + _role(user, f"LOGIN {attributes} PASSWORD :'password'")


def _database(name: str, owner: str, roles: Iterable[str]) -> str:
    # Byte order: prefix searches use plain indexes, and an upgrade of the C library can't spoil them.
    grants = "".join(f"GRANT CONNECT ON DATABASE {name} TO {role};\n" for role in roles)
    return (
        f"SELECT 'CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING ''UTF8'' "  # noqa: S608
        f"LC_COLLATE ''C'' LC_CTYPE ''C.UTF-8''' WHERE NOT EXISTS "
        f"(SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n"
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n{grants}"
    )


def _removed_applications(kept: Sequence[str]) -> str:
    """Drop the schemas and roles of applications that are no longer there; databases of others hold nothing of them."""
    known = ", ".join(["''", *(f"'{role}'" for role in kept)])
    which = f"rolname LIKE 'app\\_%' AND rolname NOT IN ({known})"
    schemas = f"nspname LIKE 'app\\_%' AND nspname NOT IN ({known})"
    return (
        f"SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace WHERE {schemas} \\gexec\n"  # noqa: S608
        f"SELECT format('DROP OWNED BY %I CASCADE', rolname) FROM pg_roles WHERE {which} \\gexec\n"
        f"SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE {which} \\gexec\n"
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
