"""How a pod gets its secrets: it logs in to OpenBao by a token of its own, and keeps them in memory."""

import json
from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.core import v1 as core

from refsys.platform.components.configuration import CA
from refsys.platform.components.names import OPENBAO, OPENBAO_PORT, SECRETS_AUDIENCE, App
from refsys.platform.components.pod import Mount, scratch_mount

URL = f"https://{OPENBAO.host}:{OPENBAO_PORT}"
CA_DIRECTORY = "/etc/refsys/ca"
CA_FILE = f"{CA_DIRECTORY}/{CA}"
TOKEN_DIRECTORY = "/var/run/secrets/openbao"  # noqa: S105 - a path
TOKEN_FILE = f"{TOKEN_DIRECTORY}/token"
API_TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
"""Where programs look for a token of the API server."""
SECRETS_DIRECTORY = "/run/refsys/secrets"
CERTIFICATE_FILE = f"{SECRETS_DIRECTORY}/tls.pem"
"""Certificate and key, which change together."""
DATABASE_FILE = f"{SECRETS_DIRECTORY}/database"
"""User and password, a line each."""


def secrets_env(
    app: App, *, values: bool = False, database: bool = False, dns_names: Sequence[str] = ()
) -> dict[str, pulumi.Input[str]]:
    """Return the settings by which a process of the `services` image fetches the secrets of `app`."""
    return {
        "REFSYS_SECRETS_URL": URL,
        "REFSYS_SECRETS_CA_FILE": CA_FILE,
        "REFSYS_SECRETS_TOKEN_FILE": TOKEN_FILE,
        "REFSYS_SECRETS_FOLDER": SECRETS_DIRECTORY,
        "REFSYS_SECRETS_ROLE": app.name,
        "REFSYS_SECRETS_VALUES": str(values).lower(),
        "REFSYS_SECRETS_DATABASE": str(database).lower(),
        "REFSYS_SECRETS_DNS_NAMES": json.dumps(list(dns_names)),
    }


def secrets_mounts() -> tuple[Mount, Mount]:
    """Return the pod's token, and the folder in memory where its secrets lie."""
    return token_mount(), scratch_mount("secrets", SECRETS_DIRECTORY, "1Mi", memory=True)


def token_mount() -> Mount:
    """Mount a token that opens OpenBao alone; the kubelet keeps it new."""
    token = core.ServiceAccountTokenProjectionArgs(path="token", audience=SECRETS_AUDIENCE, expiration_seconds=600)
    sources = [core.VolumeProjectionArgs(service_account_token=token)]
    projected = core.ProjectedVolumeSourceArgs(sources=sources, default_mode=0o440)
    return Mount("openbao-token", TOKEN_DIRECTORY, core.VolumeArgs(name="openbao-token", projected=projected))


def api_token_mount() -> Mount:
    """Mount a token of the API server, with the authority of its certificate; only `API_CLIENTS` may have one."""
    sources = [
        core.VolumeProjectionArgs(
            service_account_token=core.ServiceAccountTokenProjectionArgs(path="token", expiration_seconds=3600)
        ),
        core.VolumeProjectionArgs(
            config_map=core.ConfigMapProjectionArgs(
                name="kube-root-ca.crt", items=[core.KeyToPathArgs(key="ca.crt", path="ca.crt")]
            )
        ),
    ]
    projected = core.ProjectedVolumeSourceArgs(sources=sources, default_mode=0o440)
    return Mount("api-token", API_TOKEN_DIRECTORY, core.VolumeArgs(name="api-token", projected=projected))
