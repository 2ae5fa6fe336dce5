"""What a Kubernetes object is called: kind, name, identifier, automatic names."""

import random
import string
from dataclasses import dataclass
from typing import Any

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import UNKNOWN, Properties

AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"

_ALPHABET = string.ascii_lowercase + string.digits
_SERVER_SET = (
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_CLUSTER_SCOPED = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("certificates.k8s.io", "ClusterTrustBundle"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("networking.k8s.io", "IPAddress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("node.k8s.io", "RuntimeClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "ResourceSlice"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
        ("storage.k8s.io", "VolumeAttributesClass"),
    }
)
_BUILT_IN_GROUPS = frozenset(group for group, _ in _CLUSTER_SCOPED) | {
    "apps",
    "autoscaling",
    "batch",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "policy",
}


@dataclass(frozen=True)
class Kind:
    """Group, version and kind of an object."""

    group: str
    version: str
    name: str

    @property
    def api_version(self) -> str:
        """The `apiVersion` of manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def always_namespaced(self) -> bool | None:
        """Whether objects live in a namespace; `None` for kinds that only the cluster knows."""
        if self.group not in _BUILT_IN_GROUPS:
            return None
        return (self.group, self.name) not in _CLUSTER_SCOPED

    def __str__(self) -> str:
        """Show as kind and API version."""
        return f"{self.name} ({self.api_version})"


def kind_of(properties: Properties, resource_type: str = "") -> Kind:
    """Read the kind from a manifest, or else from the resource's type (`kubernetes:apps/v1:Deployment`)."""
    api_version, name = properties.get("apiVersion"), properties.get("kind")
    if not (isinstance(api_version, str) and isinstance(name, str)):
        parts = resource_type.split(":")
        if len(parts) != 3:
            raise PluginError(
                f"resource type {resource_type!r} names no Kubernetes kind; "
                "give apiVersion and kind, or use a type of the form kubernetes:GROUP/VERSION:KIND"
            )
        api_version, name = parts[1].removeprefix("core/"), parts[2]
    group, _, version = api_version.rpartition("/")
    return Kind(group, version, name)


def metadata_of(manifest: Properties) -> Properties:
    """Return the metadata, empty where it is absent or unknown."""
    metadata = manifest.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def annotations_of(manifest: Properties) -> Properties:
    """Return the annotations, empty where they are absent or unknown."""
    annotations = metadata_of(manifest).get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def name_of(manifest: Properties) -> Any:
    """Return `metadata.name`: a string, `UNKNOWN` or `None`."""
    return UNKNOWN if manifest.get("metadata") is UNKNOWN else metadata_of(manifest).get("name")


def is_autonamed(manifest: Properties) -> bool:
    """Tell whether the name was made here."""
    return annotations_of(manifest).get(AUTONAMED) == "true"


def with_autoname(manifest: Properties, base: str, seed: bytes, old: Properties) -> Properties:
    """Give a nameless object the name it has in the state, or else `BASE-xxxxxxxx`, and mark it as made here.

    The same seed gives the same name, so that a repeated update names the object alike.
    """
    metadata = metadata_of(manifest)
    if name_of(manifest) is not None or metadata.get("generateName"):
        return manifest
    annotations = metadata.get("annotations", {})
    if not isinstance(annotations, dict):  # unknown as a whole: the mark has to wait for the update
        annotations = {}
    if old and is_autonamed(old):
        name = name_of(old)
    else:
        suffix = "".join(random.Random(seed or None).choices(_ALPHABET, k=8))  # noqa: S311 a name, not a secret
        name = f"{base[: 63 - 9]}-{suffix}"
    named = {**metadata, "name": name, "annotations": {**annotations, AUTONAMED: "true"}}
    return {**manifest, "metadata": named}


def with_wire_names(manifest: Properties) -> Properties:
    """Give the schema fields of a CustomResourceDefinition their own names.

    The SDK's languages allow no dash or dollar in names: it calls them `x_kubernetes_list_type`, `_ref`, `_schema`.
    """
    if manifest.get("kind") != "CustomResourceDefinition":
        return manifest
    renamed: Properties = _renamed(manifest)
    return renamed


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_wire_name(key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value


def _wire_name(key: str) -> str:
    if key.startswith("x_kubernetes_"):
        return key.replace("_", "-")
    return {"_ref": "$ref", "_schema": "$schema"}.get(key, key)


def object_id(namespace: str | None, name: str) -> str:
    """Write the resource's identifier: `NAMESPACE/NAME`, or `NAME` outside namespaces."""
    return f"{namespace}/{name}" if namespace else name


def split_id(identifier: str) -> tuple[str | None, str]:
    """Read namespace and name from an identifier."""
    namespace, _, name = identifier.rpartition("/")
    return namespace or None, name


def manifest_of(live: Properties) -> Properties:
    """Strip what the server sets from a live object."""
    kept = {key: value for key, value in live.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in metadata_of(live).items() if key not in _SERVER_SET}
    return kept


def is_true(value: Any) -> bool:
    """Read a switch that may be a boolean or its text."""
    return value is True or (isinstance(value, str) and value.lower() == "true")
