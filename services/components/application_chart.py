"""The objects of an application that comes as a chart, inside its namespace's walls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking import v1 as networking

from refsys.platform.components.applications import Hosted
from refsys.platform.components.configuration import labels, metadata
from refsys.platform.components.names import COREDNS, DNS_PORT


@dataclass(frozen=True)
class ChartOf:
    """Manifests, and the Service among them that the gateway's requests go to."""

    documents: Sequence[dict[str, Any]]
    service: str


def chart_objects(hosted: Hosted, chart: ChartOf, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Make the manifests' objects in the application's namespace; they carry its labels beside their own."""
    made: list[pulumi.Resource] = []
    for document in chart.documents:
        about = document["metadata"]
        own = {
            **about,
            "namespace": hosted.app.namespace,
            "labels": {**labels(hosted.app), **(about.get("labels") or {})},
        }
        made.append(
            pulumi.CustomResource(
                _token(document["apiVersion"], document["kind"]),
                f"{hosted.app.name}-{document['kind'].lower()}-{about['name']}",
                {**document, "metadata": own},
                opts,
            )
        )
    return made


def inside_policy(hosted: Hosted, opts: pulumi.ResourceOptions) -> networking.NetworkPolicy:
    """Let the pods of the namespace reach each other, names, and the declared networks outside."""
    own = networking.NetworkPolicyPeerArgs(pod_selector=LabelSelectorArgs())
    dns = networking.NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": COREDNS.namespace}),
        pod_selector=LabelSelectorArgs(match_labels=COREDNS.selector),
    )
    names = [networking.NetworkPolicyPortArgs(port=DNS_PORT, protocol=protocol) for protocol in ("TCP", "UDP")]
    outside = [
        networking.NetworkPolicyEgressRuleArgs(
            to=[networking.NetworkPolicyPeerArgs(ip_block=networking.IPBlockArgs(cidr=network.cidr))],
            ports=[networking.NetworkPolicyPortArgs(port=network.port, end_port=network.end_port, protocol="TCP")],
        )
        for network in hosted.outside
    ]
    return networking.NetworkPolicy(
        f"{hosted.app.name}-inside",
        metadata=metadata(hosted.app, "inside"),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=LabelSelectorArgs(),
            policy_types=["Ingress", "Egress"],
            ingress=[networking.NetworkPolicyIngressRuleArgs(from_=[own])],
            egress=[
                networking.NetworkPolicyEgressRuleArgs(to=[own]),
                networking.NetworkPolicyEgressRuleArgs(to=[dns], ports=names),
                *outside,
            ],
        ),
        opts=opts,
    )


def _token(version: str, kind: str) -> str:
    """Return the engine's name of a kind, in which the core's group has a name."""
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}"
