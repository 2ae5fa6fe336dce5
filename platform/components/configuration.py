"""ConfigMaps and Secrets: the object, and the digest of its content."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from refsys.platform.components.component import digest
from refsys.platform.components.context import Certificate
from refsys.platform.components.names import App

PRIVATE_KEY = "tls.key"
CERTIFICATE = "tls.crt"
CA = "ca.crt"


@dataclass(frozen=True)
class Files:
    """Files that pods mount: the object's name (known when it exists) and the digest of their content."""

    name: pulumi.Output[str]
    digest: pulumi.Output[str]


def labels(app: App) -> dict[str, str]:
    """Labels of every object that belongs to `app`."""
    return {
        "app.kubernetes.io/name": app.name,
        "app.kubernetes.io/part-of": "refsys",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def metadata(app: App, name: str | None = None) -> ObjectMetaArgs:
    """Metadata of an object of `app`, called like it unless `name` is given."""
    return ObjectMetaArgs(name=name or app.name, namespace=app.namespace, labels=labels(app))


def config_files(
    app: App,
    name: str,
    files: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> Files:
    """Keep `files` (name → text) as ConfigMap `name`."""
    config = core.ConfigMap(f"{app.namespace}-{name}", metadata=metadata(app, name), data=files, opts=opts)
    return Files(config.metadata.name, digest(dict(files)))


def secret_files(
    app: App,
    name: str,
    files: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> Files:
    """Keep `files` (name → text) as Secret `name`."""
    data = {key: pulumi.Output.secret(text).apply(_base64) for key, text in files.items()}
    secret = core.Secret(f"{app.namespace}-{name}", metadata=metadata(app, name), data=data, opts=opts)
    return Files(pulumi.Output.unsecret(secret.metadata.name), digest(dict(files)))


def certificate_files(certificate: Certificate) -> dict[str, pulumi.Input[str]]:
    """Name the parts of `certificate` as `tls.crt`, `tls.key` and `ca.crt`."""
    return {
        CERTIFICATE: certificate.certificate_pem,
        PRIVATE_KEY: certificate.key_pem,
        CA: certificate.ca_pem,
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
