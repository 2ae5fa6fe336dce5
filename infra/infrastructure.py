"""The lowest layer: machines and their load balancer, with names, and what is handed over to Ansible."""

import pulumi

from refsys.infra.clouds.interface import Cloud
from refsys.infra.environment import Environment
from refsys.infra.files import EnvironmentFile
from refsys.infra.inventory import inventory_of
from refsys.infra.pki import Authority
from refsys.infra.playbook import known_hosts
from refsys.infra.ssh import BREAK_GLASS, SshKey
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
        self.machines = [machine for pool in environment.settings.pools() for machine in cloud.node_pool(pool, key)]
        pulumi.export(NODES, {machine.name: machine.resource.urn for machine in self.machines if machine.resource})
        # Nodes that come and go with the queue of jobs are no way in.
        entrances = [machine for machine in self.machines if not (machine.pool and machine.pool.taints)]
        outside = cloud.load_balancer({443: GATEWAY_NODE_PORT}, entrances)
        first = self.machines[0]
        control_plane = pulumi.Output.from_input(first.outside or first.address)
        hosts = dict.fromkeys(GATEWAY_HOSTS, outside) | dict.fromkeys(CONTROL_PLANE_HOSTS, control_plane)
        self.names = cloud.host_names({f"{host}.{environment.domain}": address for host, address in hosts.items()})
        break_glass = SshKey(environment.name, BREAK_GLASS)
        self.inventory = inventory_of(environment, cloud, authority, self.machines, break_glass, outside=outside)
        # As playbooks write them, for who looks at nodes before any playbook has run.
        written = pulumi.Output.concat(pulumi.Output.json_dumps(self.inventory, indent=2, sort_keys=True), "\n")
        EnvironmentFile("inventory.yml", environment.name, written)
        EnvironmentFile("known_hosts", environment.name, self.inventory.apply(known_hosts))
