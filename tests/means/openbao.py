"""A real OpenBao on loopback, set up as an environment sets it up, with a real API server and PostgreSQL."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import requests
from pydantic import HttpUrl

from refsys.infra.pki import _CertificateProvider
from refsys.infra.toolchain import tool_bin
from refsys.platform.components.names import OPENBAO, OPENBAO_SETUP, SECRETS_AUDIENCE, App
from refsys.platform.components.postgresql_config import CREDENTIALS_ROLE, USERS, pg_hba_conf, roles_sql
from refsys.security.components import openbao_setup
from refsys.security.components.openbao_config import (
    DATA_DIRECTORY,
    SEAL_DIRECTORY,
    SEAL_KEY,
    TLS_DIRECTORY,
    Holder,
    server_hcl,
    wanted,
)
from refsys.services.common.secrets import SecretsSettings
from tests.means.postgresql import BINARIES, USER, PostgreSQL
from tests.means.processes import Server, free_port
from tests.plugin.api_server import Cluster

Document = dict[str, Any]
START_SECONDS = 60
ACCOUNTS = "/api/v1/namespaces/{}/serviceaccounts"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass(frozen=True)
class Lives:
    """How long things live, short enough to be seen."""

    token: str = "20s"
    user: str = "20s"
    user_at_most: str = "20s"
    certificate: str = "20s"


@dataclass
class OpenBao:
    """A running server."""

    folder: Path
    cluster: Cluster
    postgresql: PostgreSQL
    port: int = field(default_factory=free_port)
    process: Server = field(init=False)

    def __post_init__(self) -> None:
        """The process is not started yet."""
        program = tool_bin("openbao") / "openbao"
        command: list[str | Path] = [program, "server", f"-config={self.folder / 'openbao.hcl'}"]
        self.process = Server(command, self.log, self._unsealed, START_SECONDS)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "tls" / "ca.crt"

    @property
    def log(self) -> Path:
        return self.folder / "openbao.log"

    def _unsealed(self) -> bool:
        try:
            return requests.get(f"{self.url}/v1/sys/health", verify=str(self.ca_file), timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def token_file(self, app: App, audience: str = SECRETS_AUDIENCE) -> Path:
        """A file with the token that the kubelet would give to a pod of `app`."""
        path = ACCOUNTS.format(app.namespace)
        if self.cluster.get(f"/api/v1/namespaces/{app.namespace}") is None:
            self.cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": app.namespace}})
        if self.cluster.get(f"{path}/{app.name}") is None:
            self.cluster.request("POST", path, {"metadata": {"name": app.name}})
        wanted = {"spec": {"audiences": [audience] if audience else [], "expirationSeconds": 3600}}
        answer = self.cluster.request("POST", f"{path}/{app.name}/token", wanted)
        file = self.folder / f"{app.label}-{secrets.token_hex(4)}.token"
        file.write_text(answer["status"]["token"])
        return file

    def client(self) -> hvac.Client:
        """A client that is not logged in."""
        return hvac.Client(url=self.url, token="", verify=str(self.ca_file), timeout=30)

    def administrator(self) -> hvac.Client:
        """A client that may do everything, as the job that sets up has it."""
        client = self.client()
        openbao_setup.log_in(client, self.token_file(OPENBAO_SETUP))
        return client

    def settings(self, holder: Holder, folder: Path) -> SecretsSettings:
        """Settings of a process that is that holder, with its secrets in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return SecretsSettings(
            url=HttpUrl(self.url),
            ca_file=self.ca_file,
            token_file=self.token_file(holder.app),
            folder=folder,
            role=holder.name,
            values=bool(holder.values),
            database=bool(holder.database),
            dns_names=holder.dns_names,
        )

    def variables(self, settings: SecretsSettings) -> dict[str, str]:
        """The settings as environment variables."""
        return {
            "REFSYS_SECRETS_URL": str(settings.url),
            "REFSYS_SECRETS_CA_FILE": str(settings.ca_file),
            "REFSYS_SECRETS_TOKEN_FILE": str(settings.token_file),
            "REFSYS_SECRETS_FOLDER": str(settings.folder),
            "REFSYS_SECRETS_ROLE": settings.role,
            "REFSYS_SECRETS_VALUES": str(settings.values),
            "REFSYS_SECRETS_DATABASE": str(settings.database),
            "REFSYS_SECRETS_DNS_NAMES": json.dumps(settings.dns_names),
        }

    def set_up(self, holders: Sequence[Holder], lives: Lives | None = None) -> str:
        """Run the job that sets up; returns what it said."""
        document = shortened(wanted(holders), lives or Lives())
        document["database"]["connection_url"] = (
            f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{self.postgresql.port}/postgres?sslmode=disable"
        )
        authority = json.loads((self.folder / "authority.json").read_text())
        given = {
            "authority": authority["key_pem"] + authority["certificate_pem"],
            "database_password": (self.folder / "passwords" / CREDENTIALS_ROLE).read_text(),
            "values": {holder.name: dict(holder.values) for holder in holders if holder.values},
        }
        (self.folder / "wanted.json").write_text(json.dumps(document))
        (self.folder / "secrets.json").write_text(json.dumps(given))
        environment = {
            "PATH": os.environ["PATH"],
            "OPENBAO_URL": self.url,
            "OPENBAO_CA_FILE": str(self.ca_file),
            "OPENBAO_TOKEN_FILE": str(self.token_file(OPENBAO_SETUP)),
            "WANTED_FILE": str(self.folder / "wanted.json"),
            "SECRETS_FILE": str(self.folder / "secrets.json"),
        }
        command = [sys.executable, str(Path(openbao_setup.__file__))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def shortened(document: Document, lives: Lives) -> Document:
    """The same with other times."""
    for role in document["roles"].values():
        role["token_period"] = lives.token
    for role in document["database_roles"].values():
        role |= {"default_ttl": lives.user, "max_ttl": lives.user_at_most}
    for role in document["certificate_roles"].values():
        role |= {"ttl": lives.certificate, "not_before_duration": "5s"}
    return document


@contextmanager
def openbao(folder: Path, cluster: Cluster, postgresql: PostgreSQL, like: OpenBao | None = None) -> Iterator[OpenBao]:
    """Run a server with an empty storage until the context ends; `like` another, with its keys and authority."""
    folder.mkdir(parents=True)
    made = OpenBao(folder, cluster, postgresql)
    if like is None:
        _make_files(folder)
        _make_roles(made)
    else:
        for name in ("tls", "seal", "passwords", "authority.json"):
            (folder / name).symlink_to(like.folder / name)
    (folder / "data").mkdir()
    (folder / "openbao.hcl").write_text(_configuration(made))
    try:
        made.process.start()
        yield made
    finally:
        made.process.stop()


def _make_files(folder: Path) -> None:
    root = _certificate("root", authority=True)
    below = {"issuer_certificate_pem": root["certificate_pem"], "issuer_key_pem": root["key_pem"]}
    (folder / "authority.json").write_text(json.dumps(_certificate("openbao", authority=True, **below)))
    server = _certificate("server", ip_addresses=["127.0.0.1"], **below)
    for name in ("tls", "seal", "passwords"):
        (folder / name).mkdir()
    (folder / "tls" / "ca.crt").write_text(root["certificate_pem"])
    (folder / "tls" / "tls.crt").write_text(server["certificate_pem"])
    (folder / "tls" / "tls.key").write_text(server["key_pem"])
    (folder / "seal" / SEAL_KEY).write_text(base64.b64encode(secrets.token_bytes(32)).decode())


def _certificate(name: str, **properties: Any) -> Document:
    """A certificate as an environment's authority issues it."""
    plain = {
        "dns_names": [],
        "ip_addresses": [],
        "authority": False,
        "issuer_certificate_pem": "",
        "issuer_key_pem": "",
    }
    return _CertificateProvider().apply({"purpose": name, "common_name": name, **plain, **properties}, None)


def _make_roles(made: OpenBao) -> None:
    """Make the roles of PostgreSQL as an environment does, and let in whom it lets in."""
    server, passwords = made.postgresql, made.folder / "passwords"
    for user in USERS:
        (passwords / user).write_text(secrets.token_urlsafe(24))
    script = made.folder / "roles.sql"
    script.write_text(roles_sql(str(passwords)))
    command = [
        str(BINARIES / "psql"), "-h", "127.0.0.1", "-p", str(server.port), "-U", USER, "-d", "postgres", "-qf",
        str(script),
    ]  # fmt: skip
    environment = os.environ | {"PGPASSWORD": server.password_file.read_text()}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    access = server.password_file.parent / "data" / "pg_hba.conf"
    access.write_text(pg_hba_conf().replace("hostssl", "host"))  # these servers have no certificate
    server.run("SELECT pg_reload_conf()")


def _configuration(made: OpenBao) -> str:
    """The server's configuration with the places of this test."""
    reviewer = _reviewer(made)
    authority = json.dumps((made.cluster.folder / "server.crt").read_text())
    kubernetes = f"""kubernetes_host = "https://127.0.0.1:{made.cluster.port}"
      kubernetes_ca_cert = {authority}
      token_reviewer_jwt = "{reviewer}"
      disable_local_ca_jwt = true"""
    text = server_hcl()
    text = re.sub(r"kubernetes_host = .*", lambda _: kubernetes, text)
    for place, here in ((DATA_DIRECTORY, "data"), (TLS_DIRECTORY, "tls"), (SEAL_DIRECTORY, "seal")):
        text = text.replace(place, str(made.folder / here))
    text = re.sub(r"api_addr .*", f'api_addr = "{made.url}"', text)
    text = text.replace('"0.0.0.0:8200"', f'"127.0.0.1:{made.port}"')
    return text.replace("127.0.0.1:8201", f"127.0.0.1:{free_port()}")


def _reviewer(made: OpenBao) -> str:
    """The server's own token, with which it asks whose another is; its account may do nothing else."""
    token = made.token_file(OPENBAO, audience="").read_text()
    name = "refsys:openbao"
    if made.cluster.get(f"{RBAC}/clusterroles/{name}") is None:
        rule = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
        made.cluster.request("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
        account = {"kind": "ServiceAccount", "name": OPENBAO.name, "namespace": OPENBAO.namespace}
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [account],
        }
        made.cluster.request("POST", f"{RBAC}/clusterrolebindings", binding)
    return token
