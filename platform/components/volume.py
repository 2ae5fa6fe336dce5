"""Persistent volumes: folders of one node where the cluster has no provisioner, else its default class."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage import v1 as storage

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import labels, metadata
from refsys.platform.components.context import Context
from refsys.platform.components.names import (
    ALERTMANAGER,
    INGESTOR,
    JOBS,
    KAFKA,
    LOG_STORE,
    OBJECT_STORE,
    OPENBAO,
    OPENLDAP,
    POSTGRESQL,
    PROMETHEUS,
    App,
)

STORAGE_CLASS = "local"
VOLUME_ROOT = "/var/lib/refsys/volumes"
VOLUME_NAMES = tuple(
    app.name
    for app in (POSTGRESQL, KAFKA, OBJECT_STORE, INGESTOR, OPENBAO, OPENLDAP, LOG_STORE, ALERTMANAGER, PROMETHEUS)
)
"""Folders that must exist under `VOLUME_ROOT` on `Context.volume_node` before the components are made."""
NODE_FOLDERS = tuple(app.name for app in JOBS.values())
"""Folders that must exist there on every node."""


class LocalStorageClass(Component):
    """The class of volumes that are folders of a node."""

    def __init__(self, name: str, context: Context, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make StorageClass `local`."""
        super().__init__("LocalStorageClass", name, context, opts)
        made = storage.StorageClass(
            STORAGE_CLASS,
            metadata=ObjectMetaArgs(name=STORAGE_CLASS),
            provisioner="kubernetes.io/no-provisioner",
            volume_binding_mode="WaitForFirstConsumer",
            reclaim_policy="Retain",
            opts=self.child(),
        )
        self.name = made.metadata.name
        self.register_outputs({"name": self.name})


@dataclass(frozen=True)
class VolumeArgs:
    """Arguments of `Volume`."""

    context: Context
    app: App
    """The workload it belongs to; the claim, and the folder on the node, have its name."""
    size: str
    """As a Kubernetes quantity; a local folder is not limited to it."""


class Volume(Component):
    """A claim that the workload mounts, and on a cluster without a provisioner the volume behind it."""

    def __init__(self, name: str, args: VolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the volume and its claim."""
        super().__init__("Volume", name, args.context, opts)
        node = args.context.volume_node
        local = None if node is None else self._local_volume(args, node)
        claim = core.PersistentVolumeClaim(
            args.app.label,
            metadata=metadata(args.app),
            spec=core.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=STORAGE_CLASS if local else None,
                volume_name=local.metadata.name if local else None,
                resources=core.VolumeResourceRequirementsArgs(requests={"storage": args.size}),
            ),
            opts=self.child(),
        )
        self.claim: pulumi.Output[str] = claim.metadata.name
        self.register_outputs({"claim": self.claim})

    def _local_volume(self, args: VolumeArgs, node: pulumi.Input[str]) -> core.PersistentVolume:
        app = args.app
        return core.PersistentVolume(
            app.label,
            metadata=ObjectMetaArgs(name=app.label, labels=labels(app)),
            spec=core.PersistentVolumeSpecArgs(
                storage_class_name=STORAGE_CLASS,
                capacity={"storage": args.size},
                access_modes=["ReadWriteOnce"],
                persistent_volume_reclaim_policy="Retain",
                local=core.LocalVolumeSourceArgs(path=f"{VOLUME_ROOT}/{app.name}"),
                claim_ref=core.ObjectReferenceArgs(
                    api_version="v1", kind="PersistentVolumeClaim", namespace=app.namespace, name=app.name
                ),
                node_affinity=core.VolumeNodeAffinityArgs(required=_on(node)),
            ),
            opts=self.child(),
        )


class NodeFolder(Component):
    """A folder that the workload's pods share with those on the same node: another one on each node.

    Only who makes volumes can make it, and it is this folder alone that is seen. What lies in it can be lost.
    """

    def __init__(self, name: str, args: VolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the volume without a node, and its claim."""
        super().__init__("NodeFolder", name, args.context, opts)
        app = args.app
        volume = core.PersistentVolume(
            app.label,
            metadata=ObjectMetaArgs(name=app.label, labels=labels(app)),
            spec=core.PersistentVolumeSpecArgs(
                storage_class_name=STORAGE_CLASS,
                capacity={"storage": args.size},
                access_modes=["ReadWriteMany"],
                persistent_volume_reclaim_policy="Retain",
                host_path=core.HostPathVolumeSourceArgs(path=f"{VOLUME_ROOT}/{app.name}", type="Directory"),
                claim_ref=core.ObjectReferenceArgs(
                    api_version="v1", kind="PersistentVolumeClaim", namespace=app.namespace, name=app.name
                ),
            ),
            opts=self.child(),
        )
        claim = core.PersistentVolumeClaim(
            app.label,
            metadata=metadata(app),
            spec=core.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteMany"],
                storage_class_name=STORAGE_CLASS,
                volume_name=volume.metadata.name,
                resources=core.VolumeResourceRequirementsArgs(requests={"storage": args.size}),
            ),
            opts=self.child(),
        )
        self.claim: pulumi.Output[str] = claim.metadata.name
        self.register_outputs({"claim": self.claim})


def _on(node: pulumi.Input[str]) -> core.NodeSelectorArgs:
    hostname = core.NodeSelectorRequirementArgs(key="kubernetes.io/hostname", operator="In", values=[node])
    return core.NodeSelectorArgs(node_selector_terms=[core.NodeSelectorTermArgs(match_expressions=[hostname])])
