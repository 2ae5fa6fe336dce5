"""Throw-away environments for the scenarios: nodes, certificates, inventory, images.

`environment.py create|destroy|push SCENARIO INVENTORY [NODES]`; INVENTORY is the file that Ansible reads.
"""

import base64
import json
import secrets
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import directory
import repository
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from refsys.infra import shell
from refsys.infra.passwords import login_hash
from refsys.infra.toolchain import ensure_tool
from refsys.platform import images

DOMAIN = "molecule.test"
REGISTRY = f"registry.{DOMAIN}"
USER = "refsys"
CLUSTER_IMAGES = [
    *("pause", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"),
    *("calico-cni", "calico-node", "calico-kube-controllers"),
]
ROLES = (
    *("node_base", "containerd", "kubernetes_node", "kubernetes_control_plane", "kubernetes_worker", "calico"),
    "os_hardening",
)


class Certificate:
    """A certificate with its key; without an issuer it signs itself."""

    def __init__(self, name: str, issuer: "Certificate | None" = None, *, address: str | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or self
        begin = datetime.now(UTC) - timedelta(minutes=5)
        builder = (
            x509.CertificateBuilder(signer.name, self.name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        )
        if address is not None:
            names = [x509.DNSName(name), x509.IPAddress(ip_address(address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """Its private key."""
        plain = serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def create(scenario: str, inventory: Path, nodes: str) -> None:
    """Make the nodes, and an inventory where there is none yet."""
    made = json.loads(_machines("create", scenario, f"--nodes={nodes}"))["nodes"]
    if inventory.exists():
        return
    known_hosts = inventory.parent.parent / "known_hosts"
    known_hosts.write_text("".join(f"{node['address']} {node['host_key']}\n" for node in made.values()))
    variables = _variables(made, known_hosts)
    if scenario == "directory-login":
        variables |= _directory(made["cp1"]["address"], known_hosts.parent)
    groups = _groups(made)
    if scenario == "wazuh":
        variables |= _wazuh(made["cp1"]["address"], known_hosts.parent)
        groups["control_plane"]["hosts"]["cp1"]["wazuh_part"] = "manager"
        groups["worker"]["hosts"]["w1"] |= {
            "falco_repository": variables["wazuh_repository"],
            "falco_repository_key": variables["wazuh_repository_key"],
            "falco_version": repository.FALCO,
        }
    document = {"all": {"vars": variables, "children": {"kubernetes": {"children": groups}}}}
    inventory.touch(mode=0o600)
    inventory.write_text(json.dumps(document, indent=1))


def destroy(scenario: str, inventory: Path) -> None:
    """Remove the nodes and the inventory."""
    _machines("destroy", scenario)
    inventory.unlink(missing_ok=True)


def push(_scenario: str, inventory: Path) -> None:
    """Put the cluster's images into the environment's registry."""
    variables = json.loads(inventory.read_text())["all"]["vars"]
    address = variables["node_base_hosts"][0]["address"]
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as ca_file:
        ca_file.write(variables["node_base_ca_pem"])
        ca_file.flush()
        for name in CLUSTER_IMAGES:
            built = images.build(name)
            password = variables["registry_password"]
            images.push(built, f"{address}:5000", ca_file=Path(ca_file.name), username=USER, password=password)


def _machines(command: str, scenario: str, *options: str) -> str:
    module = [sys.executable, "-m", "refsys.infra.clouds.local.machines", command]
    done = subprocess.run([*module, f"--environment=t-mol-{scenario}", *options], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def _groups(nodes: dict[str, Any]) -> dict[str, Any]:
    hosts = {name: {"ansible_host": node["address"], "node_name": name} for name, node in nodes.items()}
    return {
        group: {"hosts": {name: host for name, host in hosts.items() if name.startswith(letter)}}
        for group, letter in (("control_plane", "cp"), ("worker", "w"))
    }


def _variables(nodes: dict[str, Any], known_hosts: Path) -> dict[str, Any]:
    control_plane = nodes["cp1"]["address"]
    root = Certificate("root")
    cluster = Certificate("kubernetes", root)
    registry = Certificate(REGISTRY, root, address=control_plane)
    password = secrets.token_urlsafe(24)
    return {f"{role}_shared_kernel": True for role in ROLES} | {
        "ansible_user": nodes["cp1"]["user"],
        "ansible_ssh_private_key_file": nodes["cp1"]["ssh_key"],
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes",
        **_hardening(control_plane, known_hosts.parent),
        "node_base_ca_pem": root.pem,
        "node_base_hosts": [{"address": control_plane, "names": [f"api.{DOMAIN}", REGISTRY, directory.HOST]}],
        "node_base_users": [{"name": "operator", "authorized_keys": ["ssh-ed25519 AAAA operator"], "sudo": True}],
        "node_base_volumes": [{"name": "postgresql", "uid": 999}],
        "containerd_registry_host": f"{REGISTRY}:5000",
        "containerd_registry_ca_pem": root.pem,
        "containerd_registry_username": USER,
        "containerd_registry_password": password,
        "registry_username": USER,
        "registry_password": password,
        "registry_certificate_pem": registry.pem,
        "registry_key_pem": registry.key_pem,
        # Nobody answers there; records wait.
        "log_collector_kafka": f"kafka.{DOMAIN}:32093",
        "log_collector_ca_pem": root.pem,
        "log_collector_certificate_pem": registry.pem,
        "log_collector_key_pem": registry.key_pem,
        "node_exporter_ca_pem": root.pem,
        "node_exporter_certificate_pem": registry.pem,
        "node_exporter_key_pem": registry.key_pem,
        "kubernetes_node_bin_folder": str(ensure_tool("kubernetes") / "bin"),
        "kubernetes_control_plane_endpoint": f"api.{DOMAIN}:6443",
        "kubernetes_control_plane_image_repository": f"{REGISTRY}:5000/refsys",
        "kubernetes_control_plane_ca_certificate_pem": cluster.pem + root.pem,
        "kubernetes_control_plane_ca_key_pem": cluster.key_pem,
        "kubernetes_control_plane_encryption_key": base64.b64encode(secrets.token_bytes(32)).decode(),
        # Nobody answers there, as in an environment that is just being made.
        "kubernetes_control_plane_oidc_issuer": f"https://auth.{DOMAIN}/realms/refsys",
        "kubernetes_control_plane_oidc_ca_pem": root.pem,
        "kubernetes_control_plane_kubeconfig": str(known_hosts.with_name("kubeconfig")),
        "kubernetes_control_plane_kubeconfig_server": f"https://{control_plane}:6443",
        "kubernetes_worker_endpoint": f"api.{DOMAIN}:6443",
        "calico_endpoint": f"api.{DOMAIN}:6443",
        "calico_image_repository": f"{REGISTRY}:5000/refsys",
        "calico_crds_file": str(ensure_tool("calico") / "share" / "crds.yaml"),
    }


def _directory(control_plane: str, folder: Path) -> dict[str, Any]:
    root = Certificate("directory authority")
    certificate = Certificate(directory.HOST, root, address=control_plane)
    values = {name: secrets.token_urlsafe(24) for name in ("administrator", "account", "user")}
    public = _ssh_key(folder / "directory_user")
    return {
        **directory.variables(root.pem, values["account"]),
        "directory_files": directory.files(certificate.pem, certificate.key_pem, root.pem, values["administrator"]),
        "directory_values": {**values, "public_key": public, "ca_pem": root.pem},
    }


def _ssh_key(path: Path) -> str:
    # A run that was cut off may have left one, about which ssh-keygen would ask.
    path.unlink(missing_ok=True)
    shell.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path)
    return path.with_suffix(".pub").read_text().strip()


def _wazuh(control_plane: str, folder: Path) -> dict[str, Any]:
    root = Certificate("root")
    certificate = Certificate(f"wazuh.{DOMAIN}", root, address=control_plane)
    return {
        **repository.variables(folder),
        "wazuh_manager": f"wazuh.{DOMAIN}",
        "wazuh_password": secrets.token_urlsafe(24),
        "wazuh_ca_pem": root.pem,
        "wazuh_certificate_pem": certificate.pem,
        "wazuh_key_pem": certificate.key_pem,
    }


def _hardening(control_plane: str, folder: Path) -> dict[str, Any]:
    network = ip_network(f"{control_plane}/24", strict=False)
    controller = f"{network[1]}/32"
    password = secrets.token_urlsafe(24)
    break_glass = _ssh_key(folder / "break_glass")
    opened = {
        "pods of other nodes (VXLAN)": ("udp", "4789", [str(network)]),
        "kubelet": ("tcp", "10250", [str(network), "10.244.0.0/16"]),
        "node exporter": ("tcp", "9100", [str(network), "10.244.0.0/16"]),
        "Kubernetes API": ("tcp", "6443", ["0.0.0.0/0"]),
        "registry": ("tcp", "5000", [str(network), controller]),
    }
    return {
        "os_hardening_profile": "kubernetes_node",
        "os_hardening_root_login_from": [controller],
        "os_hardening_ssh_users": ["operator"],
        "os_hardening_break_glass_keys": [break_glass],
        "os_hardening_break_glass_password_hash": login_hash(password),
        "os_hardening_firewall": [
            {"name": name, "protocol": protocol, "ports": [port], "sources": sources}
            for name, (protocol, port, sources) in opened.items()
        ],
        # For the tests that use the account.
        "break_glass_password": password,
    }


if __name__ == "__main__":
    command, scenario, inventory, *rest = sys.argv[1:]
    {"create": create, "destroy": destroy, "push": push}[command](scenario, Path(inventory), *rest)
