"""The object store: an S3 gateway over a volume, HTTPS only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import (
    CERTIFICATE,
    PRIVATE_KEY,
    certificate_files,
    config_files,
    secret_files,
)
from refsys.platform.components.context import Context
from refsys.platform.components.names import OBJECT_STORE, OBJECT_STORE_METRICS_PORT, OBJECT_STORE_PORT
from refsys.platform.components.object_store_metrics import FILE, exporter, statsd_config, store_env
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Pod,
    Resources,
    SecretKey,
    claim_mount,
    config_mount,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import service, stateful_set

REGION = "us-east-1"
ACCESS_KEY = "refsys"
METRICS_ACCOUNT = "metrics"
METRICS_BUCKET = "rs-metrics"
TLS_DIRECTORY = "/etc/refsys/tls"
DATA_DIRECTORY = "/var/lib/object-store"
METRICS_DIRECTORY = "/etc/refsys/metrics"
ACCOUNTS_DIRECTORY = "/etc/refsys/accounts"
ACCOUNTS_FILE = "users.json"
HEALTH_PATH = "/healthz"


@dataclass(frozen=True)
class ObjectStoreArgs:
    """Arguments of `ObjectStore`."""

    context: Context
    size: str = "100Gi"
    accounts: Sequence[str] = ()
    """Access keys beside the root's, which may do nothing until a bucket's policy lets them."""


def accounts(secret_keys: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
    """Return the content of the gateway's file of accounts (access key → secret key)."""
    rights = {"role": "user", "userID": 0, "groupID": 0, "projectID": 0}
    return {"accessAccounts": {name: {"access": name, "secret": key, **rights} for name, key in secret_keys.items()}}


class ObjectStore(Component):
    """S3 at `https://object-store.infra.svc:7070`."""

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make certificate, keys, volume and StatefulSet."""
        super().__init__("ObjectStore", name, args.context, opts)
        context = args.context
        self.region = REGION
        self.access_key = ACCESS_KEY
        self.secret_key = context.passwords(OBJECT_STORE.name, self)
        self.secret_keys = {name: context.passwords(f"{OBJECT_STORE.name}-{name}", self) for name in args.accounts}
        certificate = context.authority.issue(OBJECT_STORE.name, dns_names=OBJECT_STORE.dns_names, parent=self)
        tls = secret_files(OBJECT_STORE, "object-store-tls", certificate_files(certificate), self.child())
        keys = secret_files(
            OBJECT_STORE,
            "object-store-keys",
            {"access_key": self.access_key, "secret_key": self.secret_key},
            self.child(),
        )
        known = secret_files(
            OBJECT_STORE,
            "object-store-accounts",
            {ACCOUNTS_FILE: pulumi.Output.json_dumps(accounts(self.secret_keys))},
            self.child(),
        )
        metrics = config_files(OBJECT_STORE, "object-store-metrics", {FILE: statsd_config()}, self.child())
        volume = Volume(OBJECT_STORE.label, VolumeArgs(context, OBJECT_STORE, args.size), self.child())
        service(OBJECT_STORE, {"https": OBJECT_STORE_PORT}, self.child(), headless=True)
        pod = Pod(
            OBJECT_STORE,
            image=context.image("object-store"),
            user=UNPRIVILEGED_USER,
            args=("posix", DATA_DIRECTORY),
            env={
                "VGW_PORT": f":{OBJECT_STORE_PORT}",
                "VGW_REGION": REGION,
                "VGW_CERT": f"{TLS_DIRECTORY}/{CERTIFICATE}",
                "VGW_KEY": f"{TLS_DIRECTORY}/{PRIVATE_KEY}",
                "VGW_HEALTH": HEALTH_PATH,
                "VGW_IAM_DIR": ACCOUNTS_DIRECTORY,
                "VGW_QUIET": "true",
                **store_env(),
            },
            secret_env={
                "ROOT_ACCESS_KEY_ID": SecretKey(keys, "access_key"),
                "ROOT_SECRET_ACCESS_KEY": SecretKey(keys, "secret_key"),
            },
            mounts=(
                secret_mount("tls", TLS_DIRECTORY, tls),
                config_mount("metrics", METRICS_DIRECTORY, metrics),
                secret_mount("accounts", ACCOUNTS_DIRECTORY, known),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
                scratch_mount("temporary", "/tmp", "64Mi"),  # noqa: S108 - the pod's own
            ),
            files=(tls, keys, known, metrics),
            ports={"https": OBJECT_STORE_PORT},
            metrics=(Metrics("metrics", OBJECT_STORE_METRICS_PORT),),
            probes=http_probes(
                OBJECT_STORE_PORT, ready=HEALTH_PATH, live=HEALTH_PATH, scheme="HTTPS", start_seconds=60
            ),
            resources=Resources(cpu="50m", memory="64Mi", memory_limit="512Mi"),
            sidecars=[exporter(context, "metrics", METRICS_DIRECTORY)],
        )
        self.ready = stateful_set(pod, self.child())
        self.ca_pem = certificate.ca_pem
        self.endpoint = f"https://{OBJECT_STORE.host}:{OBJECT_STORE_PORT}"
        self.register_outputs({"endpoint": self.endpoint})
