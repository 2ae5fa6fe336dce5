"""Templates rendered by Ansible's own engine, read by the formats' own parsers."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.ansible import roles

HOST = {
    "node_name": "cp1",
    "ansible_host": "192.0.2.10",
    "containerd_registry_host": "registry.example.org:5000",
    "containerd_registry_username": "refsys",
    "containerd_registry_password": "secret",
    "kubernetes_control_plane_endpoint": "api.example.org:6443",
    "kubernetes_control_plane_image_repository": "registry.example.org:5000/refsys",
    "kubernetes_control_plane_encryption_key": "A" * 43 + "=",
    "_kubernetes_worker_words": ["join", "--token", "t", "--discovery-token-ca-cert-hash", "sha256:1"],
    "kubernetes_worker_endpoint": "api.example.org:6443",
    "kubernetes_worker_labels": {"refsys/pool": "processing", "a": "b"},
    "kubernetes_worker_taints": ["refsys/pool=processing:NoSchedule", "alone:NoExecute"],
    "calico_endpoint": "api.example.org:6443",
    "_calico_wireguard": {"rc": 1},
    "calico_image_repository": "registry.example.org:5000/refsys",
}
ROLES = ["containerd", "registry", "kubernetes_node", "kubernetes_control_plane", "kubernetes_worker", "calico"]


class Rendered:
    """Templates rendered for one kind of node."""

    def __init__(self, folder: Path, shared_kernel: bool) -> None:
        self.folder = folder
        self.shared_kernel = shared_kernel

    def text(self, role: str, name: str) -> str:
        return (self.folder / role / name).read_text()

    def documents(self, role: str, name: str) -> list[dict[str, Any]]:
        return [document for document in yaml.safe_load_all(self.text(role, name)) if document]

    def document(self, role: str, name: str, kind: str) -> dict[str, Any]:
        (found,) = [document for document in self.documents(role, name) if document["kind"] == kind]
        return found


@pytest.fixture(scope="session", params=[False, True], ids=["own-kernel", "shared-kernel"])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    folder = tmp_path_factory.mktemp("rendered")
    shared = {f"{role}_shared_kernel": request.param for role in ROLES}
    (folder / "values.json").write_text(json.dumps(HOST | shared))
    playbooks = [_playbook(role, folder / role) for role in ROLES]
    ansible = Path(sys.executable).with_name("ansible-playbook")
    command: list[str | Path] = [ansible, "--inventory=localhost,", f"--extra-vars=@{folder}/values.json", *playbooks]
    done = subprocess.run(command, cwd=roles.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Rendered(folder, request.param)


def _playbook(role: str, folder: Path) -> Path:
    """A play that stands beside the role's templates and files, and so finds them by name as the role does."""
    source = roles.folder(role)
    folder.mkdir()
    for part in ("templates", "files"):
        (folder / part).symlink_to(source / part)
    templates = sorted(file.name for file in (source / "templates").glob("*.j2") if file.name != "kubeconfig.j2")
    play = {
        "hosts": "all",
        "connection": "local",
        "vars_files": [str(source / part / "main.yml") for part in ("defaults", "vars")],
        "tasks": [
            {"ansible.builtin.template": {"src": name, "dest": str(folder / name.removesuffix(".j2")), "mode": "0600"}}
            for name in templates
        ],
    }
    file = folder / "play.yml"
    file.write_text(yaml.safe_dump([play]))
    return file


def test_containerd_pulls_from_the_registry_with_its_password(rendered: Rendered) -> None:
    hosts = tomllib.loads(rendered.text("containerd", "hosts.toml"))["host"]["https://registry.example.org:5000"]
    assert hosts["header"]["authorization"] == "Basic cmVmc3lzOnNlY3JldA=="
    config = tomllib.loads(rendered.text("containerd", "config.toml"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is rendered.shared_kernel
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is not rendered.shared_kernel


def test_the_registry_asks_for_a_password_over_tls(rendered: Rendered) -> None:
    (config,) = rendered.documents("registry", "config.yml")
    assert config["http"]["tls"]["minimumtls"] == "tls1.2"
    assert config["auth"] == {"htpasswd": {"realm": "refsys", "path": "/etc/docker/registry/htpasswd"}}
    assert config["storage"]["delete"] == {"enabled": True}


def test_a_shared_kernel_gets_only_network_keys(rendered: Rendered) -> None:
    keys = [
        line.split(" = ")[0] for line in rendered.text("kubernetes_node", "sysctl.conf").splitlines() if "=" in line
    ]
    assert "net.ipv4.ip_forward" in keys
    assert all(key.startswith("net.ipv4.") for key in keys) is rendered.shared_kernel


def test_the_api_server_audits_encrypts_and_admits(rendered: Rendered) -> None:
    cluster = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "ClusterConfiguration")
    arguments = {item["name"]: item["value"] for item in cluster["apiServer"]["extraArgs"]}
    assert arguments["audit-policy-file"] == "/etc/kubernetes/apiserver/audit-policy.yaml"
    assert arguments["encryption-provider-config"] == "/etc/kubernetes/apiserver/encryption.yaml"
    assert arguments["admission-control-config-file"] == "/etc/kubernetes/apiserver/admission.yaml"
    assert cluster["apiServer"]["certSANs"] == ["192.0.2.10", "api.example.org"]
    (encryption,) = rendered.documents("kubernetes_control_plane", "encryption.yaml")
    assert [*encryption["resources"][0]["providers"][0]] == ["aescbc"]


def test_the_kubelet_serves_with_a_signed_certificate_and_limits_pods(rendered: Rendered) -> None:
    cluster = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "ClusterConfiguration")
    arguments = {item["name"]: item["value"] for item in cluster["apiServer"]["extraArgs"]}
    kubelet = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "KubeletConfiguration")
    assert arguments["kubelet-certificate-authority"] == "/etc/kubernetes/pki/ca.crt"
    assert kubelet["serverTLSBootstrap"] is kubelet["rotateCertificates"] is kubelet["seccompDefault"] is True
    assert 0 < kubelet["podPidsLimit"] <= 4096


def test_every_part_of_the_control_plane_takes_strong_ciphers_alone(rendered: Rendered) -> None:
    cluster = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "ClusterConfiguration")
    kubelet = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "KubeletConfiguration")
    wanted = set(kubelet["tlsCipherSuites"])
    assert all(suite.startswith("TLS_ECDHE_") and "CBC" not in suite for suite in wanted)
    for part in ("apiServer", "controllerManager", "scheduler"):
        arguments = {item["name"]: item["value"] for item in cluster[part]["extraArgs"]}
        assert set(arguments["tls-cipher-suites"].split(",")) == wanted
        assert arguments["tls-min-version"] == "VersionTLS12"
    etcd = {item["name"]: item["value"] for item in cluster["etcd"]["local"]["extraArgs"]}
    assert set(etcd["cipher-suites"].split(",")) == wanted


def test_the_kubelet_fits_its_kernel(rendered: Rendered) -> None:
    kubelet = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "KubeletConfiguration")
    assert kubelet["protectKernelDefaults"] is True
    assert kubelet["cgroupDriver"] == ("cgroupfs" if rendered.shared_kernel else "systemd")
    assert ("evictionHard" in kubelet) is rendered.shared_kernel
    proxy = rendered.document("kubernetes_control_plane", "kubeadm.yaml", "KubeProxyConfiguration")
    assert ("conntrack" in proxy) is rendered.shared_kernel


def test_a_changed_file_of_the_api_server_changes_its_pod(rendered: Rendered) -> None:
    (patch,) = rendered.documents("kubernetes_control_plane", "kube-apiserver.yaml")
    assert len(patch["metadata"]["annotations"]["refsys/configuration"]) == 16


def test_calico_always_tunnels_and_mounts_only_what_is_there(rendered: Rendered) -> None:
    node = rendered.document("calico", "node.yaml", "DaemonSet")
    (container,) = node["spec"]["template"]["spec"]["containers"]
    values = {item["name"]: item.get("value") for item in container["env"]}
    assert (values["CALICO_IPV4POOL_VXLAN"], values["CALICO_IPV4POOL_IPIP"]) == ("Always", "Never")
    assert values["FELIX_WIREGUARDENABLED"] == "false"
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in node["spec"]["template"]["spec"]["volumes"]}
    assert ("bpffs" in mounts) is not rendered.shared_kernel
    assert mounts | {"cni-bin"} == volumes
    assert json.loads(
        rendered.document("calico", "config.yaml", "ConfigMap")["data"]["cni_network_config"].replace(
            "__CNI_MTU__", "0"
        )
    )


def test_calico_has_an_account_for_each_component(rendered: Rendered) -> None:
    documents = rendered.documents("calico", "access.yaml")
    accounts = {document["metadata"]["name"] for document in documents if document["kind"] == "ServiceAccount"}
    granted = {document["metadata"]["name"] for document in documents if document["kind"] == "ClusterRole"}
    assert accounts == granted == {"calico-node", "calico-cni-plugin", "calico-kube-controllers"}


def test_a_worker_joins_with_its_labels_and_taints(rendered: Rendered) -> None:
    joining = rendered.document("kubernetes_worker", "kubeadm.yaml", "JoinConfiguration")
    node = joining["nodeRegistration"]
    assert {"name": "node-labels", "value": "a=b,refsys/pool=processing"} in node["kubeletExtraArgs"]
    assert node["taints"] == [
        {"key": "refsys/pool", "value": "processing", "effect": "NoSchedule"},
        {"key": "alone", "value": "", "effect": "NoExecute"},
    ]
    assert joining["timeouts"] == {"discovery": "60s", "tlsBootstrap": "90s"}
