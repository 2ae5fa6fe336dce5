"""The job that keeps directory and realm as the program says: first users and groups, then Keycloak."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi

from refsys.platform.components.applications import Hosted
from refsys.platform.components.configuration import CA, config_files, secret_files
from refsys.platform.components.context import Context
from refsys.platform.components.directory import Directory, Source
from refsys.platform.components.names import HTTPS_PORT, KEYCLOAK, KEYCLOAK_REALM
from refsys.platform.components.people import People, wanted
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Pod,
    Resources,
    config_mount,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.realm import realm
from refsys.platform.components.workload import job

CONFIG_DIRECTORY = "/etc/refsys/identity"
SECRETS_DIRECTORY = "/etc/refsys/secrets"
MUST_CHANGE = "/tmp/must-change.json"  # noqa: S108 - the pod's own
SCRIPTS = ("directory_sync.py", "realm_sync.py")
ADMIN_CLIENT = "realm-job"


@dataclass(frozen=True)
class IdentityJobArgs:
    """What the job sets, and with what it may."""

    context: Context
    people: People
    source: Source
    directory: Directory | None
    """The environment's own, which is kept as `people` says."""
    admin: pulumi.Input[str]
    """Secret of `ADMIN_CLIENT` in Keycloak."""
    clients: Mapping[str, pulumi.Input[str]]
    """Secrets of the realm's confidential clients."""
    ca_pem: pulumi.Input[str]
    demo: Mapping[str, pulumi.Input[str]]
    """The demonstration's user and password, if there is one."""
    first_passwords: Mapping[str, pulumi.Input[str]]
    applications: Sequence[Hosted] = ()


def identity_job(args: IdentityJobArgs, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Make the job; it runs again whenever what it sets is another."""
    domain = args.context.domain
    federation = args.source.federation
    kept = realm(domain, args.people, federation, demo_user=bool(args.demo), applications=args.applications)
    texts: dict[str, pulumi.Input[str]] = {"realm.json": json.dumps(kept, indent=1), CA: args.ca_pem}
    texts |= {name: Path(__file__).with_name(name).read_text(encoding="utf-8") for name in SCRIPTS}
    hidden: dict[str, pulumi.Input[str]] = {
        "client-secret": args.admin,
        "clients.json": pulumi.Output.json_dumps(dict(args.clients)),
        "users.json": pulumi.Output.json_dumps(dict(args.demo)),
        "federation-password": args.source.password,
    }
    env: dict[str, pulumi.Input[str]] = {
        "KEYCLOAK_URL": f"https://{KEYCLOAK.host}:{HTTPS_PORT}",
        "KEYCLOAK_CA_FILE": f"{CONFIG_DIRECTORY}/{CA}",
        "KEYCLOAK_CLIENT_ID": ADMIN_CLIENT,
        "KEYCLOAK_CLIENT_SECRET_FILE": f"{SECRETS_DIRECTORY}/client-secret",
        "REALM_FILE": f"{CONFIG_DIRECTORY}/realm.json",
        "USER_PASSWORDS_FILE": f"{SECRETS_DIRECTORY}/users.json",
        "CLIENT_SECRETS_FILE": f"{SECRETS_DIRECTORY}/clients.json",
        "FEDERATION_PASSWORD_FILE": f"{SECRETS_DIRECTORY}/federation-password",
    }
    run = f"exec python3 {CONFIG_DIRECTORY}/realm_sync.py"
    if args.directory:
        texts["directory.json"] = json.dumps(wanted(domain, args.people), indent=1)
        passwords = {
            "administrator": args.directory.administrator_password,
            "accounts": args.directory.account_passwords,
            "users": dict(args.first_passwords),
        }
        hidden["directory.json"] = pulumi.Output.json_dumps(passwords)
        env |= {
            "DIRECTORY_URL": args.directory.url,
            "DIRECTORY_CA_FILE": f"{CONFIG_DIRECTORY}/{CA}",
            "DIRECTORY_FILE": f"{CONFIG_DIRECTORY}/directory.json",
            "DIRECTORY_PASSWORDS_FILE": f"{SECRETS_DIRECTORY}/directory.json",
            "MUST_CHANGE_FILE": MUST_CHANGE,
        }
        run = f"python3 {CONFIG_DIRECTORY}/directory_sync.py; {run}"
    files = config_files(KEYCLOAK_REALM, "keycloak-realm", texts, opts)
    secrets = secret_files(KEYCLOAK_REALM, "keycloak-realm", hidden, opts)
    pod = Pod(
        KEYCLOAK_REALM,
        image=args.context.image("services"),
        user=UNPRIVILEGED_USER,
        command=("/bin/sh", "-ec"),
        args=(run,),
        env=env,
        mounts=(
            config_mount("config", CONFIG_DIRECTORY, files),
            secret_mount("secrets", SECRETS_DIRECTORY, secrets),
            scratch_mount("temporary", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
        ),
        files=(files, secrets),
        resources=Resources(cpu="10m", memory="32Mi", memory_limit="128Mi"),
    )
    return job(pod, opts)
