"""A real Keycloak on loopback for the tests, with a small realm of the shape that an environment has."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.means.fetched import fetched
from tests.means.processes import free_port

VERSION = "26.4.0"
REALM = "refsys"
CLIENT = "refsys-cli"
AUDIENCE = "refsys"
PASSWORD = "correct horse battery staple"
# Users and their realm roles.
USERS: dict[str, list[str]] = {"demo": ["prip-user", "operator", "cadip-user"], "reader": ["prip-user"], "nobody": []}
START_SECONDS = 300


@dataclass(frozen=True)
class Keycloak:
    """A running Keycloak; `log` is its output."""

    url: str
    log: Path

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/{REALM}"

    @property
    def token_url(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/token"

    @property
    def keys_url(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/certs"

    def token(self, user: str, password: str = PASSWORD) -> str:
        form = {"grant_type": "password", "client_id": CLIENT, "username": user, "password": password}
        answer = httpx.post(self.token_url, data=form, timeout=30, trust_env=False)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def realm() -> dict[str, Any]:
    """The realm to import."""
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "none",
        "accessTokenLifespan": 600,
        "roles": {"realm": [{"name": "prip-user"}, {"name": "operator"}, {"name": "cadip-user"}]},
        "clients": [
            {
                "clientId": CLIENT,
                "publicClient": True,
                "standardFlowEnabled": False,
                "directAccessGrantsEnabled": True,
                "protocolMappers": [
                    {
                        "name": "audience",
                        "protocol": "openid-connect",
                        "protocolMapper": "oidc-audience-mapper",
                        "config": {"included.custom.audience": AUDIENCE, "access.token.claim": "true"},
                    }
                ],
            }
        ],
        "users": [
            {
                "username": name,
                "enabled": True,
                "email": f"{name}@example.test",
                "emailVerified": True,
                "firstName": name,
                "lastName": "Test",
                "realmRoles": roles,
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            }
            for name, roles in USERS.items()
        ],
    }


def installation() -> Path:
    """The unpacked distribution, fetched from Maven Central and built once."""
    return fetched(f"keycloak-{VERSION}", _fetch) / f"keycloak-{VERSION}"


def _fetch(folder: Path) -> None:
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"
    _run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"])
    archive_file = folder / f"keycloak-quarkus-dist-{VERSION}.tar.gz"
    with tarfile.open(archive_file) as archive:
        archive.extractall(folder, filter="data")
    archive_file.unlink()
    _run([str(folder / f"keycloak-{VERSION}" / "bin" / "kc.sh"), "build", "--db=dev-mem", "--health-enabled=true"])


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Keycloak]:
    """Run Keycloak in `folder` with its data in memory and more options of `kc.sh start`."""
    home = folder / "keycloak"
    shutil.copytree(installation(), home)
    (home / "data" / "import").mkdir(parents=True)
    (home / "data" / "import" / "realm.json").write_text(json.dumps(realm()))
    port, management = free_port(), free_port()
    keycloak = Keycloak(f"http://127.0.0.1:{port}", folder / "keycloak.log")
    command = [
        str(home / "bin" / "kc.sh"),
        "start",
        "--optimized",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        f"--http-management-port={management}",
        f"--hostname={keycloak.url}",
        "--cache=local",
        "--import-realm",
        *options,
    ]
    environment = os.environ | {
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx400m",
        # Most of a short life's work would be that of the second compiler.
        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
        "KC_RUN_IN_CONTAINER": "false",
    }
    with (
        keycloak.log.open("wb") as log,
        subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        ) as server,
    ):
        try:
            _wait(keycloak, server)
            yield keycloak
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)  # kc.sh has Java as its child
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _wait(keycloak: Keycloak, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(keycloak.keys_url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"Keycloak did not start: {keycloak.log.read_text()[-3000:]}")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} failed ({done.returncode}): {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
