"""The lowest layer: machines and their load balancer, with names, and what is handed over to Ansible."""

from collections.abc import Sequence

import pulumi

from refsys.infra import paths
from refsys.infra.clouds.interface import Cloud, Machine
from refsys.infra.environment import Environment
from refsys.infra.files import EnvironmentFile
from refsys.infra.inventory import inventory_of
from refsys.infra.pki import Authority
from refsys.infra.playbook import known_hosts
from refsys.infra.ssh import BASTION_HOSTS, BREAK_GLASS, CONFIG, SshKey, key_file
from refsys.platform.components.names import GATEWAY_NODE_PORT

GATEWAY_HOSTS = ("prip", "auxip", "cadip", "stac", "ondemand", "metadata", "ingestor", "operations", "auth")
CONTROL_PLANE_HOSTS = ("api", "registry")
NODES = "nodes"
"""Output of the stack: the resource of each node's machine, by its name."""


class Infrastructure:
    """What the cloud makes."""

    def __init__(self, environment: Environment, cloud: Cloud, authority: Authority) -> None:
        """Have the cloud make it; the control plane's first node comes first in `machines`."""
        key = SshKey(environment.name).public_key
        pools = environment.settings.pools()
        self.machines = [machine for pool in pools for machine in cloud.node_pool(pool, key)]
        pulumi.export(NODES, {machine.name: machine.resource.urn for machine in self.machines if machine.resource})
        cloud.object_store()
        # Nodes that come and go with the queue of jobs are no way in.
        entrances = [machine for machine in self.machines if not (machine.pool and machine.pool.bounds)]
        outside = cloud.load_balancer({443: GATEWAY_NODE_PORT}, entrances)
        first = self.machines[0]
        control_plane = pulumi.Output.from_input(first.outside or first.address)
        hosts = dict.fromkeys(gateway_hosts(environment), outside) | dict.fromkeys(CONTROL_PLANE_HOSTS, control_plane)
        names = cloud.host_names({f"{host}.{environment.domain}": address for host, address in hosts.items()})
        self.ready: list[pulumi.Resource] = [names, *_way_in(environment, self.machines)]
        """What must be there before nodes are set up."""
        break_glass = SshKey(environment.name, BREAK_GLASS)
        self.inventory = inventory_of(environment, cloud, authority, self.machines, break_glass, outside=outside)
        # As playbooks write them, for who looks at nodes before any playbook has run.
        written = pulumi.Output.concat(pulumi.Output.json_dumps(self.inventory, indent=2, sort_keys=True), "\n")
        EnvironmentFile("inventory.yml", environment.name, written)
        EnvironmentFile("known_hosts", environment.name, self.inventory.apply(known_hosts))


def gateway_hosts(environment: Environment) -> tuple[str, ...]:
    """First labels of the names behind the gateway: the distribution's and its hosted applications'."""
    return (*GATEWAY_HOSTS, *(declared.host for declared in environment.applications))


def _way_in(environment: Environment, machines: Sequence[Machine]) -> list[pulumi.Resource]:
    """Files that lead SSH to nodes whose addresses this machine does not reach: past a bastion, all by known keys."""
    bastion = next((machine.bastion for machine in machines if machine.bastion), None)
    if bastion is None:
        return []
    home = paths.environment_home(environment.name)
    lines: list[pulumi.Input[str]] = []
    for machine in machines:
        if machine.outside and not machine.bastion:
            address = machine.address
            lines += [
                f"Host {address}\n  HostKeyAlias {address}\n  ProxyCommand none\n  HostName ",
                machine.outside,
                "\n",
            ]
    login = f"ssh -i {key_file(environment.name)} -o UserKnownHostsFile={home / BASTION_HOSTS}"
    command = f"{login} -o StrictHostKeyChecking=yes -o BatchMode=yes -W [%h]:%p root@"
    config = pulumi.Output.concat(*lines, "Host *\n  ProxyCommand ", command, bastion.address, "\n")
    known = pulumi.Output.concat(bastion.address, " ", bastion.host_key, "\n")
    return [
        EnvironmentFile(CONFIG, environment.name, config),
        EnvironmentFile(BASTION_HOSTS, environment.name, known),
    ]
