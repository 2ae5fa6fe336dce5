"""The process `stac` as an environment runs it: settings, HTTPS, tokens of a realm, probes, end."""

import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from tests.means.certificates import Authority
from tests.means.issuer import bearer, realm
from tests.means.processes import free_port, listens, running
from tests.services.conftest import CHECKOUT, wait_until
from tests.services.published import event

from refsys.services.common.settings import DatabaseSettings
from refsys.services.distribution.publisher import publish

PUBLIC_URL = "https://stac.example.test"


@pytest.fixture
def issuer() -> Iterator[str]:
    """The address of a realm that publishes its key."""
    with realm() as address:
        yield address


def test_the_process_serves_users_of_the_realm(
    tmp_path: Path, database: DatabaseSettings, engine: Engine, authority: Authority, issuer: str
) -> None:
    publish(engine, event("S1A_OPER_AUX_RESORB.EOF", b"1"))
    certificate, operations, port = authority.issue("stac"), free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_OIDC_ISSUER": issuer,
        "REFSYS_OIDC_JWKS_URL": f"{issuer}/protocol/openid-connect/certs",
        "REFSYS_PUBLIC_URL": PUBLIC_URL,
        "REFSYS_PRIP_URL": "https://prip.example.test",
        "REFSYS_TLS_CERTIFICATE_FILE": str(certificate.certificate_file),
        "REFSYS_TLS_KEY_FILE": str(certificate.key_file),
        "REFSYS_HTTPS_PORT": str(port),
        "REFSYS_OPERATIONS_PORT": str(operations),
    }
    command, log = [sys.executable, "-m", "refsys.services", "stac"], tmp_path / "log"
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    with running(command, log, ready=lambda: listens(port), seconds=60, environment=environment) as server:
        probe = f"http://127.0.0.1:{operations}"
        wait_until(lambda: httpx.get(f"{probe}/readyz", trust_env=False).status_code == 200, what="readiness")
        with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted, trust_env=False, timeout=30) as client:
            client.headers.update(bearer(issuer=issuer))
            item = client.get("/search").json()["features"][0]
            assert item["links"][0]["href"] == f"{PUBLIC_URL}/collections/sentinel-1-aux/items/S1A_OPER_AUX_RESORB.EOF"
            assert item["assets"]["product"]["href"].startswith("https://prip.example.test/odata/v1/Products(")
            client.headers.update(bearer(roles=[], issuer=issuer))
            assert client.get("/search").status_code == 403
            client.headers["Authorization"] = "Bearer nonsense"
            assert client.get("/search").status_code == 401
        assert 'refsys_stac_request_seconds_count{method="GET",route="/search",status="200"} 1.0' in (
            httpx.get(f"{probe}/metrics", trust_env=False).text
        )
        assert server.stop() == 0
    assert "nonsense" not in log.read_text()
