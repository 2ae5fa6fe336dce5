"""The process `ingestor` with real PostgreSQL, S3 and clamd: `pytest_plugins = ("tests.services.uploading",)`."""

import hashlib
import os
import ssl
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from tests.means.certificates import Authority
from tests.means.chain import s3_variables
from tests.means.clamd import clamd
from tests.means.issuer import bearer, realm
from tests.means.object_store import S3
from tests.means.processes import Server, free_port, listens, running
from tests.services.conftest import CHECKOUT, wait_until
from tusclient.client import TusClient
from tusclient.uploader.uploader import Uploader

from refsys.services.common.settings import DatabaseSettings, S3Settings
from refsys.services.ingestor.api import PREFIX, USER

MAX_BYTES, UPLOADS_PER_USER = 3_000_000, 3


@dataclass
class Uploading:
    """The process, its clamd, and clients of both."""

    folder: Path
    engine: Engine
    issuer: str
    ca_file: Path
    environment: dict[str, str]
    clamd_port: int
    port: int
    process: Server | None = None
    _service: ExitStack = field(default_factory=ExitStack)
    _clamd: ExitStack = field(default_factory=ExitStack)

    @property
    def base(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    def start(self) -> None:
        command = [sys.executable, "-m", "refsys.services", "ingestor"]
        log = self.folder / "log"
        context = running(command, log, ready=lambda: listens(self.port), seconds=60, environment=self.environment)
        self.process = self._service.enter_context(context)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._service.close()

    def start_clamd(self) -> None:
        self._clamd.enter_context(clamd(self.folder / "clamd", self.clamd_port))

    def stop_clamd(self) -> None:
        self._clamd.close()

    def stop(self) -> None:
        self._service.close()
        self._clamd.close()

    def headers(self, user: str = "demo", roles: Collection[str] = (USER,)) -> dict[str, str]:
        return bearer(user, roles, self.issuer)

    def client(self, user: str = "demo", roles: Collection[str] = (USER,)) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.ca_file))
        headers = self.headers(user, roles) | {"Tus-Resumable": "1.0.0"}
        return httpx.Client(base_url=self.base, verify=trusted, headers=headers, timeout=30, trust_env=False)

    def uploader(self, path: Path, url: str | None = None, checksum: str | None = None, **options: Any) -> Uploader:
        """A client of tus for a file; `url` resumes an upload."""
        digest = checksum or f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        tus = TusClient(f"{self.base}{PREFIX}", headers=self.headers())
        metadata = {"filename": path.name, "checksum": digest}
        return tus.uploader(str(path), url=url, metadata=metadata, **options)

    def upload(self, path: Path, checksum: str | None = None) -> str:
        """Upload a whole file; gives its identifier."""
        uploader = self.uploader(path, checksum=checksum, chunk_size=50_000)
        uploader.upload()
        return identifier(uploader)

    def status(self, upload: str) -> dict[str, Any]:
        with self.client() as client:
            answer = client.get(f"{PREFIX}/{upload}/status")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait(self, upload: str, state: str) -> dict[str, Any]:
        wait_until(lambda: self.status(upload)["state"] == state, 60, what=f"state {state}")
        return self.status(upload)

    def execute(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))


def identifier(uploader: Uploader) -> str:
    """The identifier of the upload of a client."""
    return str(uploader.url).rpartition("/")[2]


@pytest.fixture
def uploading(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    database: DatabaseSettings,
    engine: Engine,
    s3_server: S3,
    s3: S3Settings,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Uploading]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca_file))  # of tuspy
    monkeypatch.setenv("NO_PROXY", "localhost")
    folder = tmp_path / "ingestor"
    (folder / "volume").mkdir(parents=True)
    certificate, clamd_port, port = authority.issue("ingestor"), free_port(), free_port()
    with realm() as issuer:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT / "src"),
            "REFSYS_DATABASE_URL": database.url,
            "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
            **s3_variables(s3_server),
            "REFSYS_OIDC_ISSUER": issuer,
            "REFSYS_OIDC_JWKS_URL": f"{issuer}/protocol/openid-connect/certs",
            "REFSYS_PUBLIC_URL": "https://ingestor.example.test",
            "REFSYS_TLS_CERTIFICATE_FILE": str(certificate.certificate_file),
            "REFSYS_TLS_KEY_FILE": str(certificate.key_file),
            "REFSYS_OPERATIONS_PORT": str(free_port()),
            "REFSYS_INGESTOR_FOLDER": str(folder / "volume"),
            "REFSYS_INGESTOR_MAX_BYTES": str(MAX_BYTES),
            "REFSYS_INGESTOR_UPLOADS_PER_USER": str(UPLOADS_PER_USER),
            "REFSYS_CLAMD_HOST": "127.0.0.1",
            "REFSYS_CLAMD_PORT": str(clamd_port),
            "REFSYS_HTTPS_PORT": str(port),
        }
        means = Uploading(folder, engine, issuer, authority.ca_file, environment, clamd_port, port)
        try:
            means.start_clamd()
            means.start()
            yield means
        finally:
            means.stop()
