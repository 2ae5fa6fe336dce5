"""The sidecar before servers that know no users: the real Envoy accepts its configuration and keeps others out."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.means.certificates import Authority, Certificate
from tests.means.envoy import Front, before, on_loopback
from tests.unit.components.gateway import service

from refsys.infra.pki import _CertificateProvider
from refsys.monitoring.components import alertmanager_config, log_store_config
from refsys.platform.components.mutual_tls import Access, Guarded
from refsys.platform.components.names import DETECTOR, LOG_STORE

ANY = Access(DETECTOR, ("GET",), "/.*")
GUARDED = Guarded(LOG_STORE, 9200, 9201, ready="/", live="/", access=(ANY,))


@dataclass
class Environment(Authority):
    """The environment's authority as the program makes it, and authorities under it."""

    folder: Path

    def __post_init__(self) -> None:
        self.ca_file = self.folder / "root.pem"
        self._root = self._made("root", authority=True)
        self.ca_file.write_text(self._root["certificate_pem"])

    def _made(self, name: str, issuer: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        values = {"common_name": name, "dns_names": ["localhost"], "ip_addresses": ["127.0.0.1"], "authority": False}
        issued_by = {f"issuer_{key}": (issuer or {}).get(key, "") for key in ("certificate_pem", "key_pem")}
        return _CertificateProvider().apply({**values, **issued_by, **more}, None)

    def issue(self, name: str) -> Certificate:
        """A certificate by the root itself; `name@authority` is one by an authority under it."""
        subject, _, under = name.partition("@")
        issuer = self._made(under, self._root, authority=True) if under else self._root
        made = self._made(subject, issuer)
        files = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        files.certificate_file.write_text(made["certificate_pem"] + (issuer["certificate_pem"] if under else ""))
        files.key_file.write_text(made["key_pem"])
        return files


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("sidecar")
    with service(None) as port, before(GUARDED, port, folder, Environment(folder)) as running:
        yield running


@pytest.mark.parametrize("guarded", [log_store_config.GUARDED, alertmanager_config.GUARDED])
def test_envoy_accepts_the_configuration(envoy: Path, tmp_path: Path, guarded: Guarded) -> None:
    config = on_loopback(guarded, tmp_path, Environment(tmp_path))
    result = subprocess.run([envoy, "--mode", "validate", "-c", config], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_client_that_the_environment_certified_comes_in(front: Front) -> None:
    with front.client("detector") as client:
        assert client.get("/x?y=1").text.startswith("/x?y=1")
        assert client.post("/x").status_code == 403


def test_an_authority_under_the_environments_makes_no_client(front: Front) -> None:
    with front.client("detector@kubernetes") as client, pytest.raises(httpx.TransportError):
        client.get("/x")
