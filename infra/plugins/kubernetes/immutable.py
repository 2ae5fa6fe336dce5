"""Fields that Kubernetes refuses to change: a change there replaces the object.

From the validation rules of the API ("field is immutable"), and, as in the vendor's plugin, the data of a
ConfigMap or Secret unless the provider says that they may change in place.
"""

from dataclasses import dataclass

from refsys.infra.plugins.common.values import Path, Properties
from refsys.infra.plugins.kubernetes.config import Config
from refsys.infra.plugins.kubernetes.objects import Kind


@dataclass(frozen=True)
class Rule:
    """Immutable prefixes, and the exceptions under them."""

    fields: tuple[str, ...]
    except_for: tuple[str, ...] = ()

    def covers(self, path: Path) -> bool:
        """Tell whether a change at the path touches an immutable field."""
        return _any_matches(self.fields, path) and not _any_matches(self.except_for, path)


_ALWAYS = Rule(("kind", "metadata.name", "metadata.namespace"))
_CONFIG_MAP = Rule(("data", "binaryData", "immutable"))
_SECRET = Rule(("data", "stringData", "immutable"))
_SECRET_TYPE = Rule(("type",))
_TABLE = {
    ("", "PersistentVolume"): Rule(
        ("spec",),
        except_for=(
            "spec.accessModes",
            "spec.capacity",
            "spec.claimRef",
            "spec.mountOptions",
            "spec.persistentVolumeReclaimPolicy",
            "spec.storageClassName",
            "spec.volumeAttributesClassName",
        ),
    ),
    ("", "PersistentVolumeClaim"): Rule(("spec",), except_for=("spec.resources", "spec.volumeAttributesClassName")),
    ("", "Pod"): Rule(
        ("spec",),
        except_for=(
            "spec.activeDeadlineSeconds",
            "spec.containers.*.image",
            "spec.initContainers.*.image",
            "spec.tolerations",
        ),
    ),
    ("", "Service"): Rule(("spec.clusterIP", "spec.clusterIPs")),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Rule(("spec.group", "spec.scope", "spec.names.plural")),
    ("apps", "ControllerRevision"): Rule(("data",)),
    ("apps", "DaemonSet"): Rule(("spec.selector",)),
    ("apps", "Deployment"): Rule(("spec.selector",)),
    ("apps", "ReplicaSet"): Rule(("spec.selector",)),
    ("apps", "StatefulSet"): Rule(
        ("spec.podManagementPolicy", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates")
    ),
    ("batch", "Job"): Rule(
        (
            "spec.backoffLimitPerIndex",
            "spec.completionMode",
            "spec.completions",
            "spec.managedBy",
            "spec.podFailurePolicy",
            "spec.podReplacementPolicy",
            "spec.selector",
            "spec.successPolicy",
            "spec.template",
        )
    ),
    ("certificates.k8s.io", "CertificateSigningRequest"): Rule(("spec",)),
    ("discovery.k8s.io", "EndpointSlice"): Rule(("addressType",)),
    ("networking.k8s.io", "IngressClass"): Rule(("spec.controller",)),
    ("node.k8s.io", "RuntimeClass"): Rule(("handler",)),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): Rule(("roleRef",)),
    ("rbac.authorization.k8s.io", "RoleBinding"): Rule(("roleRef",)),
    ("scheduling.k8s.io", "PriorityClass"): Rule(("value", "preemptionPolicy")),
    ("storage.k8s.io", "CSIDriver"): Rule(("spec.attachRequired", "spec.volumeLifecycleModes")),
    ("storage.k8s.io", "StorageClass"): Rule(("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")),
    ("storage.k8s.io", "VolumeAttachment"): Rule(("spec",)),
}


def rules_for(kind: Kind, old: Properties, config: Config) -> tuple[Rule, ...]:
    """Return the rules of an object of this kind, `old` being its inputs in the state."""
    match kind.group, kind.name:
        case "", "ConfigMap":
            frozen = old.get("immutable") is True or not config.config_map_mutable
            return (_ALWAYS, _CONFIG_MAP) if frozen else (_ALWAYS,)
        case "", "Secret":
            frozen = old.get("immutable") is True or not config.secret_mutable
            return (_ALWAYS, _SECRET_TYPE, _SECRET) if frozen else (_ALWAYS, _SECRET_TYPE)
        case key:
            rule = _TABLE.get(key)
            return (_ALWAYS, rule) if rule else (_ALWAYS,)


def _any_matches(fields: tuple[str, ...], path: Path) -> bool:
    return any(_matches(field.split("."), path) for field in fields)


def _matches(field: list[str], path: Path) -> bool:
    """Whether the path lies at or under the field."""
    return all(want in ("*", step) for want, step in zip(field, path, strict=False)) and len(path) >= len(field)
