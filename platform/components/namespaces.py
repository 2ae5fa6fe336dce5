"""The platform's namespaces: Pod Security `restricted`, and no traffic but the table's flows."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking import v1 as networking

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import metadata
from refsys.platform.components.context import Context
from refsys.platform.components.flows import (
    FLOWS,
    StationNetwork,
    apps,
    mirror_flows,
    policy_spec,
    routing_flows,
    station_flows,
)
from refsys.platform.components.names import NAMESPACES

POD_SECURITY = "restricted"


@dataclass(frozen=True)
class NamespacesArgs:
    """Arguments of `Namespaces`."""

    context: Context
    station_networks: Sequence[StationNetwork] = ()
    routing_networks: Sequence[StationNetwork] = ()
    mirror_network: StationNetwork | None = None


class Namespaces(Component):
    """Namespaces with their default-deny policies and one policy for each workload.

    Others depend on this component, so that no pod starts before its policy is there.
    """

    def __init__(self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the namespaces and the policies."""
        super().__init__("Namespaces", name, args.context, opts)
        namespaces = {namespace: self._namespace(namespace) for namespace in NAMESPACES}
        flows = [*FLOWS, *station_flows(args.station_networks), *routing_flows(args.routing_networks)]
        flows += mirror_flows(args.mirror_network)
        for app in apps(flows):
            networking.NetworkPolicy(
                app.label,
                metadata=metadata(app),
                spec=policy_spec(app, flows),
                opts=self.child(namespaces[app.namespace]),
            )
        self.register_outputs({})

    def _namespace(self, name: str) -> core.Namespace:
        security = {
            f"pod-security.kubernetes.io/{mode}{suffix}": value
            for mode in ("enforce", "warn", "audit")
            for suffix, value in (("", POD_SECURITY), ("-version", "latest"))
        }
        namespace = core.Namespace(
            name,
            metadata=ObjectMetaArgs(name=name, labels={"app.kubernetes.io/part-of": "refsys", **security}),
            opts=self.child(),
        )
        networking.NetworkPolicy(
            f"{name}-default-deny",
            metadata=ObjectMetaArgs(name="default-deny", namespace=namespace.metadata.name),
            spec=networking.NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]),
            opts=self.child(),
        )
        return namespace
