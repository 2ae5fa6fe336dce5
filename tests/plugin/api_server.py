"""A Kubernetes API server with its controllers and no nodes, as plain processes on the loopback."""

import base64
import contextlib
import json
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.means.processes import free_port

from refsys.infra.toolchain import tool_bin

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass
class Cluster:
    """The running processes and how to talk to them."""

    folder: Path
    port: int
    token: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def kubeconfig(self) -> str:
        """The administrator's kubeconfig, as content."""
        authority = base64.b64encode((self.folder / "server.crt").read_bytes()).decode()
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [
                    {
                        "name": "test",
                        "cluster": {
                            "server": f"https://127.0.0.1:{self.port}",
                            "certificate-authority-data": authority,
                        },
                    }
                ],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "users": [{"name": "admin", "user": {"token": self.token}}],
            }
        )

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Call the API server without the plugin's code; `None` for 404."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": content_type},
        )
        context = ssl.create_default_context(cafile=str(self.folder / "server.crt"))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as response:  # noqa: S310
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def get(self, path: str) -> Any:
        """Read an object."""
        return self.request("GET", path)

    def merge(self, path: str, body: Any) -> Any:
        """Change an object as somebody else would."""
        return self.request("PATCH", path, body, MERGE)


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[Cluster]:
    """Start etcd, kube-apiserver (with more `options`) and kube-controller-manager; stop them at the end."""
    etcd_port, peer_port, port = (free_port() for _ in range(3))
    cluster = Cluster(folder, port, secrets.token_hex(16))
    _write_credentials(cluster)
    programs = tool_bin("kubernetes")
    try:
        _start(
            cluster,
            tool_bin("etcd") / "server",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            "--unsafe-no-fsync",
        )
        _start(
            cluster,
            programs / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={folder / 'server.crt'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--allow-privileged",  # as kubeadm sets it: policies decide
            f"--service-account-key-file={folder / 'server.key'}",
            f"--service-account-signing-key-file={folder / 'server.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            *options,
        )
        _wait_for(cluster)
        _start(
            cluster,
            programs / "kube-controller-manager",
            f"--kubeconfig={folder / 'kubeconfig'}",
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
        )
        yield cluster
    finally:
        for process in cluster.processes:  # nothing of it is kept, so nothing has to end in good order
            process.kill()
            process.wait()
        shutil.rmtree(folder / "etcd", ignore_errors=True)


def _write_credentials(cluster: Cluster) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (cluster.folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (cluster.folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    (cluster.folder / "tokens.csv").write_text(f"{cluster.token},admin,admin,system:masters\n")
    (cluster.folder / "kubeconfig").write_text(cluster.kubeconfig)


def _start(cluster: Cluster, program: Path, *arguments: str) -> None:
    with (cluster.folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen([str(program), *arguments], stdout=log, stderr=log, cwd=cluster.folder)
    cluster.processes.append(process)


def _wait_for(cluster: Cluster) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for process in cluster.processes:
            assert process.poll() is None, _logs(cluster)
        with contextlib.suppress(OSError, AssertionError, ValueError):
            if cluster.get("/api/v1/namespaces/default"):
                return
        time.sleep(0.5)
    raise AssertionError(_logs(cluster))


def _logs(cluster: Cluster) -> str:
    return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(cluster.folder.glob("*.log")))
