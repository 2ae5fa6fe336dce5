"""What the stack hands over to Ansible: the inventory, and the secrets that go beside it."""

from collections.abc import Mapping
from typing import Any

import pulumi

from refsys.infra import detection, logins, paths, ssh
from refsys.infra.clouds.common.ports import ANYWHERE, REGISTRY_PORT, WAZUH_PORTS, Port, node_ports, ssh_sources
from refsys.infra.clouds.interface import Cloud, Machine
from refsys.infra.environment import Environment
from refsys.infra.passwords import encryption_key, login_hash, password
from refsys.infra.pki import Authority
from refsys.infra.toolchain import load_lock
from refsys.infra.toolchain.install import tool_folder
from refsys.monitoring.components.node_exporter import node_exporter_host
from refsys.platform.components import NODE_FOLDERS, VOLUME_NAMES
from refsys.platform.components.directory import directory_host
from refsys.platform.components.kafka import kafka_host
from refsys.platform.components.names import KAFKA_NODE_PORT, NODE_EXPORTER_PORT, POSTGRESQL
from refsys.platform.components.pod import UNPRIVILEGED_USER
from refsys.platform.components.postgresql import USER as POSTGRESQL_USER
from refsys.platform.components.realm import KUBERNETES_CLIENT, issuer_of
from refsys.platform.images import image_version

REGISTRY_USER = "refsys"
KUBECONFIG_FILE = "kubeconfig.admin"
CONTROL_PLANE = "control_plane"
WORKER = "worker"
ROLES_OF_THE_KERNEL = (
    "node_base",
    "containerd",
    "kubernetes_node",
    "kubernetes_control_plane",
    "kubernetes_worker",
    "calico",
    "os_hardening",
)
BASTION = {"DisableForwarding": "no", "AllowTcpForwarding": "local", "PermitOpen": "*:22"}
"""Settings of the SSH server that is the way to all others (`ssh -J`); nothing but SSH passes it."""


def registry_of(environment: Environment) -> str:
    """Host and port of the environment's registry."""
    return f"registry.{environment.domain}:{REGISTRY_PORT}"


def volume_node_of(machines: list[Machine]) -> Machine:
    """The node that volumes are on, and all that has one: the first worker."""
    return next(machine for machine in machines if machine.role == WORKER)


def inventory_of(
    environment: Environment,
    cloud: Cloud,
    authority: Authority,
    machines: list[Machine],
    break_glass: ssh.SshKey,
    *,
    outside: pulumi.Output[str],
) -> pulumi.Output[dict[str, Any]]:
    """The inventory: hosts by role, and the roles' variables that are no secret; the gateway is at `outside`."""
    groups = {
        role: {
            "hosts": {
                machine.name: _host(environment, cloud, machine, machines[0])
                for machine in machines
                if machine.role == role
            }
        }
        for role in (CONTROL_PLANE, WORKER)
    }
    document = {
        "all": {
            "vars": _variables(environment, cloud, authority, machines, outside)
            | _hardening(cloud, break_glass)
            | detection.variables(environment, cloud, authority)
            | logins.variables(environment, authority),
            "children": {"kubernetes": {"children": groups}},
        }
    }
    return pulumi.Output.from_input(document)


def _host(environment: Environment, cloud: Cloud, machine: Machine, first: Machine) -> dict[str, Any]:
    home = paths.environment_home(environment.name)
    own = _perimeter(environment, cloud, machine.role) | detection.manager_variables(environment, machine, first)
    if "wazuh_part" in own:
        own["os_hardening_firewall"] += [
            _opened(Port(name, "tcp", port, [environment.network])) for name, port in WAZUH_PORTS.items()
        ]
    if machine.ssh_port != ssh.PORT:
        own["ansible_port"] = machine.ssh_port
    by_bastion = f"-F {home / ssh.CONFIG} " if machine.bastion or machine.outside else ""
    known = f"-o UserKnownHostsFile={home / 'known_hosts'} -o StrictHostKeyChecking=yes"
    if machine.pool and machine.pool.labels:
        own["kubernetes_worker_labels"] = dict(machine.pool.labels)
    if machine.pool and machine.pool.taints:
        own["kubernetes_worker_taints"] = list(machine.pool.taints)
    return own | {
        "ansible_host": machine.address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(ssh.key_file(environment.name)),
        "ansible_ssh_common_args": by_bastion + known,
        "node_name": machine.name,
        "node_instance": machine.instance,
        "node_host_key": machine.host_key,
    }


def _perimeter(environment: Environment, cloud: Cloud, role: str) -> dict[str, Any]:
    """What a node lets in."""
    controller = cloud.controller()
    ssh_from = ssh_sources(environment, controller, role)
    found: dict[str, Any] = {"os_hardening_firewall": list(map(_opened, node_ports(environment, controller, role)))}
    if ANYWHERE not in ssh_from:
        found["os_hardening_ssh_from"] = ssh_from
        if role == CONTROL_PLANE:
            found["os_hardening_sshd_options"] = BASTION
    return found


def _opened(port: Port) -> dict[str, Any]:
    sources = list(port.sources)
    return {"name": port.name, "protocol": port.protocol, "ports": [str(port.number)], "sources": sources}


def _hardening(cloud: Cloud, break_glass: ssh.SshKey) -> dict[str, Any]:
    return {
        "os_hardening_profile": "kubernetes_node",
        "os_hardening_root_login_from": [f"{cloud.controller()}/32"],
        "os_hardening_break_glass_keys": [break_glass.public_key],
    }


def _variables(
    environment: Environment, cloud: Cloud, authority: Authority, machines: list[Machine], outside: pulumi.Output[str]
) -> dict[str, Any]:
    registry, lock, kubernetes = registry_of(environment), load_lock(), environment.kubernetes
    images = f"{registry}/refsys"
    api = f"api.{environment.domain}"
    of_first = [api, registry.partition(":")[0]]
    of_first += [detection.manager_host(environment.domain)] if environment.detection.wazuh else []
    shared = {f"{role}_shared_kernel": cloud.variables["shared_kernel"] for role in ROLES_OF_THE_KERNEL}
    return shared | {
        "node_base_hosts": [
            {"address": machines[0].address, "names": of_first},
            # The API server asks the identity provider for its keys.
            {"address": outside, "names": [f"auth.{environment.domain}"]},
            {
                "address": volume_node_of(machines).address,
                "names": [directory_host(environment.domain), kafka_host(environment.domain)],
            },
        ],
        "node_base_ca_pem": authority.ca_pem,
        "node_base_volumes": [
            {"name": name, "uid": POSTGRESQL_USER if name == POSTGRESQL.name else UNPRIVILEGED_USER}
            for name in (*VOLUME_NAMES, *NODE_FOLDERS, *_application_volumes(environment))
        ],
        "containerd_registry_host": registry,
        "containerd_registry_ca_pem": authority.ca_pem,
        "containerd_registry_username": REGISTRY_USER,
        "containerd_sandbox_image": f"{images}/pause:{image_version('pause')}",
        "registry_username": REGISTRY_USER,
        "log_collector_kafka": f"{kafka_host(environment.domain)}:{KAFKA_NODE_PORT}",
        "log_collector_ca_pem": authority.ca_pem,
        "node_exporter_ca_pem": authority.ca_pem,
        "node_exporter_port": NODE_EXPORTER_PORT,
        "kubernetes_node_version": kubernetes.version,
        "kubernetes_node_bin_folder": str(tool_folder(lock["kubernetes"]) / "bin"),
        "kubernetes_control_plane_version": kubernetes.version,
        "kubernetes_control_plane_endpoint": f"{api}:6443",
        "kubernetes_control_plane_pod_cidr": kubernetes.pods,
        "kubernetes_control_plane_service_cidr": kubernetes.services,
        "kubernetes_control_plane_image_repository": images,
        "kubernetes_control_plane_etcd_tag": image_version("etcd"),
        "kubernetes_control_plane_coredns_tag": image_version("coredns"),
        "kubernetes_control_plane_ca_certificate_pem": authority.cluster_bundle_pem,
        "kubernetes_control_plane_oidc_issuer": issuer_of(environment.domain),
        "kubernetes_control_plane_oidc_client": KUBERNETES_CLIENT,
        "kubernetes_control_plane_oidc_ca_pem": authority.ca_pem,
        "kubernetes_control_plane_kubeconfig": str(paths.environment_home(environment.name) / KUBECONFIG_FILE),
        "kubernetes_worker_endpoint": f"{api}:6443",
        "calico_endpoint": f"{api}:6443",
        "calico_version": lock["calico"].version,
        "calico_image_repository": images,
        "calico_crds_file": str(tool_folder(lock["calico"]) / "share" / "crds.yaml"),
        "calico_pod_cidr": kubernetes.pods,
    }


def _application_volumes(environment: Environment) -> list[str]:
    return [declared.hosted().app.name for declared in environment.applications if declared.volume]


class Secrets:
    """The roles' secret variables. Each playbook gets those of its own roles."""

    def __init__(self, environment: Environment, authority: Authority, registry_password: pulumi.Output[str]) -> None:
        """Issue what the nodes need."""
        self.authority = authority
        self.registry_password = registry_password
        self.detection = detection.secrets(environment, authority)
        host = registry_of(environment).partition(":")[0]
        self.registry_certificate = authority.issue("registry", dns_names=[host])
        self.encryption_key = encryption_key("kubernetes-secrets")
        self.break_glass_password = password("break-glass")
        self.directory_password = password("openldap-sssd")
        self.collector_certificate = authority.issue("log-collector", common_name="log-collector")
        exporter = node_exporter_host(environment.domain)
        self.exporter_certificate = authority.issue("node-exporter", dns_names=[exporter])

    def of_nodes(self) -> Mapping[str, pulumi.Input[str]]:
        """For `playbooks/nodes.yml`."""
        return {
            "containerd_registry_password": self.registry_password,
            "registry_password": self.registry_password,
            "registry_certificate_pem": self.registry_certificate.certificate_pem,
            "registry_key_pem": self.registry_certificate.key_pem,
            "os_hardening_break_glass_password_hash": self.break_glass_password.apply(login_hash),
            "directory_login_password": self.directory_password,
        }

    def of_cluster(self) -> Mapping[str, pulumi.Input[str]]:
        """For `playbooks/cluster.yml`."""
        return {
            "kubernetes_control_plane_ca_key_pem": self.authority.cluster.key_pem,
            "kubernetes_control_plane_encryption_key": self.encryption_key,
        }

    def of_observation(self) -> Mapping[str, pulumi.Input[str]]:
        """For `playbooks/observe.yml`."""
        return {
            "log_collector_certificate_pem": self.collector_certificate.certificate_pem,
            "log_collector_key_pem": self.collector_certificate.key_pem,
            "node_exporter_certificate_pem": self.exporter_certificate.certificate_pem,
            "node_exporter_key_pem": self.exporter_certificate.key_pem,
            **self.detection,
        }
