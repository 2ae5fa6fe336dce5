"""Namespaces: Pod Security `restricted`, no traffic but the table's flows, no tokens of the API server."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking import v1 as networking

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import metadata
from refsys.platform.components.context import Context
from refsys.platform.components.flows import Outside, apps, policy_spec, table
from refsys.platform.components.names import NAMESPACES, SYSTEM_NAMESPACES

POD_SECURITY = "restricted"


@dataclass(frozen=True)
class NamespacesArgs:
    """Arguments of `Namespaces`."""

    context: Context
    outside: Outside


class Namespaces(Component):
    """Namespaces with their default-deny policies and one policy for each workload.

    Others depend on `ready`, so that no pod starts before its policy is there.

    Attributes:
        ready: the namespaces' denials, each made after the policies of its namespace. Whoever depended on the whole
            component would have all its policies as dependencies: a hundred names in the state of each resource.
    """

    def __init__(self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the namespaces and the policies, also in the namespaces that every cluster has."""
        super().__init__("Namespaces", name, args.context, opts)
        flows = table(args.outside)
        of_applications = sorted({app.namespace for app in apps(args.outside.applications)} - set(NAMESPACES))
        names = (*NAMESPACES, *of_applications)
        namespaces = {namespace: self._namespace(namespace) for namespace in names}
        policies = {
            app: networking.NetworkPolicy(
                app.label,
                metadata=metadata(app),
                spec=policy_spec(app, flows),
                opts=self.child(*([namespaces[app.namespace]] if app.namespace in namespaces else [])),
            )
            for app in apps(flows)
        }
        denials: dict[str, pulumi.Resource] = {}
        for namespace in (*names, *SYSTEM_NAMESPACES):
            made = [namespaces[namespace]] if namespace in namespaces else []
            own = [policy for app, policy in policies.items() if app.namespace == namespace]
            denials[namespace] = self._closed(namespace, made, own)
        self.ready = [denials[namespace] for namespace in names]
        self.register_outputs({})

    def _namespace(self, name: str) -> core.Namespace:
        security = {
            f"pod-security.kubernetes.io/{mode}{suffix}": value
            for mode in ("enforce", "warn", "audit")
            for suffix, value in (("", POD_SECURITY), ("-version", "latest"))
        }
        return core.Namespace(
            name,
            metadata=ObjectMetaArgs(name=name, labels={"app.kubernetes.io/part-of": "refsys", **security}),
            opts=self.child(),
        )

    def _closed(
        self, namespace: str, made: list[core.Namespace], policies: list[networking.NetworkPolicy]
    ) -> networking.NetworkPolicy:
        """Deny everything else, and give the account that pods have by default no token of the API server."""
        # After the policies that open flows: the names of a running cluster are looked up all the time.
        denial = networking.NetworkPolicy(
            f"{namespace}-default-deny",
            metadata=ObjectMetaArgs(name="default-deny", namespace=namespace),
            spec=networking.NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]),
            opts=self.child(*made, *policies),
        )
        core.ServiceAccount(
            f"{namespace}-default",
            metadata=ObjectMetaArgs(name="default", namespace=namespace),
            automount_service_account_token=False,
            opts=self.child(*made),
        )
        return denial
