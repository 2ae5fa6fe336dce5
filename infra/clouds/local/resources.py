"""The local cloud's Pulumi resources: network, node, load balancer, host names."""

from collections.abc import Mapping
from typing import ClassVar

import pulumi
from pulumi.dynamic import DiffResult, Resource

from refsys.infra.clouds.local import hosts, image, network, nspawn
from refsys.infra.errors import UserError
from refsys.infra.managed import GoneError, Managed, Properties


class _NetworkProvider(Managed):
    replace_on: ClassVar[frozenset[str]] = frozenset({"environment", "cidr"})

    def identity(self, props: Properties) -> str:
        return str(props["environment"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        network.create(props["environment"], props["cidr"])
        return {}

    def probe(self, props: Properties) -> str:
        return "" if network.intact(props["environment"]) else "bridge, nftables table or kernel keys are not as made"

    def remove(self, props: Properties) -> None:
        network.delete(props["environment"])


class Network(Resource, module="local", name="Network"):
    """Bridge and NAT of an environment."""

    def __init__(self, name: str, environment: str, cidr: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the network; another `cidr` replaces it."""
        super().__init__(_NetworkProvider(), name, {"environment": environment, "cidr": cidr}, opts)


class _NodeProvider(Managed):
    """A node is replaced when anything that it was made from changes, and started again when it was killed."""

    replace_on: ClassVar[frozenset[str]] = frozenset(
        {"environment", "node", "address", "cidr", "memory_mib", "cpus", "public_key", "image"}
    )

    def identity(self, props: Properties) -> str:
        return f"{props['environment']}/{props['node']}"

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        spec = _spec(props)
        if old and nspawn.exists(spec):
            nspawn.start(spec)
            return {"instance": old["instance"], "host_key": nspawn.host_key(spec)}
        return {"instance": nspawn.create(spec), "host_key": nspawn.host_key(spec)}

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        found = super().diff(_id, olds, news)
        if found.replaces and (lost := nspawn.data(_spec(olds))):
            node, environment, changed = olds["node"], olds["environment"], ", ".join(found.replaces)
            raise UserError(
                f"another {changed} of node {node} needs a new machine, and on this one lies {', '.join(lost)}, which "
                "would be lost; nothing was changed",
                fix=f"set it back in Pulumi.{environment}.yaml, or take the checkout that {environment} was made with; "
                f"to begin anew without that data: ./refsys down {environment}, then up (docs/nodes.md)",
            )
        return found

    def probe(self, props: Properties) -> str:
        spec = _spec(props)
        if not nspawn.exists(spec):
            raise GoneError
        return "" if nspawn.leader(spec) else "not running"

    def remove(self, props: Properties) -> None:
        nspawn.destroy(_spec(props))


class Node(Resource, module="local", name="Node"):
    """A systemd-nspawn node. Outputs: `instance`, anew with each node made; `host_key` for known_hosts."""

    instance: pulumi.Output[str]
    host_key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        environment: str,
        address: str,
        cidr: str,
        memory_mib: int,
        cpus: float,
        public_key: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make the node called `name`."""
        # Another one has the same place and address, also where it is made anew without a change.
        in_place = pulumi.ResourceOptions(delete_before_replace=True)
        super().__init__(
            _NodeProvider(),
            name,
            {
                "environment": environment,
                "node": name,
                "address": address,
                "cidr": cidr,
                "memory_mib": memory_mib,
                "cpus": cpus,
                "public_key": public_key,
                "image": image.digest(),
                "instance": None,
                "host_key": None,
            },
            pulumi.ResourceOptions.merge(opts, in_place),
        )


def _spec(props: Properties) -> nspawn.NodeSpec:
    return nspawn.NodeSpec(
        environment=props["environment"],
        name=props["node"],
        address=props["address"],
        cidr=props["cidr"],
        memory_mib=int(props["memory_mib"]),
        cpus=float(props["cpus"]),
        public_key=props["public_key"],
    )


class _LoadBalancerProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["environment"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        ports = {int(outside): int(inside) for outside, inside in props["ports"].items()}
        network.balance(props["environment"], props["address"], ports, props["targets"])
        return {}

    def probe(self, props: Properties) -> str:
        return "" if network.balanced(props["environment"]) else "its nftables rules are missing"

    def remove(self, props: Properties) -> None:
        network.unbalance(props["environment"])


class LoadBalancer(Resource, module="local", name="LoadBalancer"):
    """Connections to `address` spread over nodes by nftables."""

    address: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        environment: str,
        address: str,
        ports: Mapping[int, int],
        targets: list[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Balance `ports` (outside → inside) over the targets' addresses."""
        texts = {str(outside): str(inside) for outside, inside in ports.items()}
        props = {"environment": environment, "address": address, "ports": texts, "targets": targets}
        super().__init__(_LoadBalancerProvider(), name, props, opts)


class _HostNamesProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["environment"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        hosts.write(props["environment"], props["names"])
        return {}

    def probe(self, props: Properties) -> str:
        return "" if hosts.read(props["environment"]) == props["names"] else "the block in /etc/hosts is not as made"

    def remove(self, props: Properties) -> None:
        hosts.remove(props["environment"])


class HostNames(Resource, module="local", name="HostNames"):
    """Names of the environment in this machine's /etc/hosts."""

    def __init__(
        self,
        name: str,
        *,
        environment: str,
        names: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Map names to addresses."""
        super().__init__(_HostNamesProvider(), name, {"environment": environment, "names": dict(names)}, opts)
