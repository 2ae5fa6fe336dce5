"""Exporters of what others made: PostgreSQL as its least user, the object store by StatsD, probes of what answers."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread
from urllib.parse import urlencode

import pytest
from pydantic import HttpUrl
from tests.means import exporters
from tests.means.certificates import Authority
from tests.means.exporters import fetched
from tests.means.object_store import ACCESS_KEY, SECRET_KEY
from tests.means.postgresql import BINARIES, PostgreSQL, postgresql
from tests.means.processes import free_port, listens, running
from tests.services.conftest import wait_until

from refsys.infra.toolchain import tool_bin
from refsys.monitoring.components.blackbox_config import ProbedStation, Target, probe_job, station_target, targets
from refsys.platform.components.object_store_metrics import store_env
from refsys.platform.components.postgresql_config import (
    DATABASE,
    EXPORTER,
    EXPORTER_USER,
    USERS,
    pg_hba_conf,
    pg_ident_conf,
    roles_sql,
)
from refsys.services.common.settings import S3Settings
from refsys.services.common.store import ObjectStore

HOST = "prip.test.example"
NAME = "localhost"
"""In the certificates of tests."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """PostgreSQL that lets in whom an environment's lets in, and the tests' administrator."""
    folder = tmp_path_factory.mktemp("exporter") / "server"
    folder.mkdir()
    access, identities = folder / "refsys.hba", folder / "refsys.ident"
    access.write_text("host all postgres 127.0.0.1/32 scram-sha-256\n" + pg_hba_conf())
    identities.write_text(pg_ident_conf().replace(f" {EXPORTER_USER} ", f" {exporters.USER} "))
    settings = {"hba_file": str(access), "ident_file": str(identities)}
    with postgresql(folder, settings) as server:
        for user in USERS:
            (folder / user).write_text(f"password of {user}")
        script = folder / "roles.sql"
        script.write_text(roles_sql(str(folder)))
        command: list[str | Path] = [
            BINARIES / "psql",
            "-h",
            "127.0.0.1",
            "-p",
            str(server.port),
            "-U",
            "postgres",
            "-qf",
            script,
        ]
        environment = os.environ | {"PGPASSWORD": server.password_file.read_text()}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        folder.chmod(0o755)
        yield server


def psql(server: PostgreSQL, user: str, process_user: str, statement: str) -> subprocess.CompletedProcess[str]:
    """Run a statement through the socket, as a user of the machine."""
    command: list[str | Path] = [
        "setpriv",
        f"--reuid={process_user}",
        "--regid=nogroup",
        "--clear-groups",
        BINARIES / "psql",
    ]
    folder = server.password_file.parent
    command += ["-h", str(folder), "-p", str(server.port), "-U", user, "-d", DATABASE, "-qtAc", statement]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_postgresql_tells_its_figures(server: PostgreSQL, tmp_path: Path) -> None:
    with exporters.postgresql_exporter(tmp_path, server.password_file.parent, server.port) as url:
        found = fetched(url)
    names = {name.partition("{")[0] for name in found}
    wanted = {"pg_settings_max_connections", "pg_stat_activity_count", "pg_stat_activity_max_tx_duration"}
    assert wanted | {"pg_stat_database_xact_commit_total", "pg_database_size_bytes", "pg_locks_count"} <= names
    assert found["pg_up{}"] == 1
    assert found["pg_exporter_last_scrape_error{}"] == 0


def test_who_asks_for_figures_may_read_nothing_else(server: PostgreSQL) -> None:
    server.run("CREATE TABLE IF NOT EXISTS secret (); REVOKE ALL ON secret FROM PUBLIC")
    assert psql(server, EXPORTER, exporters.USER, "SELECT count(*) FROM pg_stat_activity").returncode == 0
    refused = psql(server, EXPORTER, exporters.USER, "CREATE TABLE catalogue.x ()")
    assert "permission denied for schema catalogue" in refused.stderr
    refused = psql(server, EXPORTER, exporters.USER, "SELECT passwd FROM pg_shadow")
    assert "permission denied" in refused.stderr


@pytest.mark.parametrize(
    ("user", "process_user"), [(EXPORTER, "daemon"), ("postgres", "nobody"), ("keycloak", "nobody")]
)
def test_nobody_else_comes_in_by_the_socket(server: PostgreSQL, user: str, process_user: str) -> None:
    refused = psql(server, user, process_user, "SELECT 1")
    assert refused.returncode != 0
    assert "authentication failed" in refused.stderr or "no pg_hba.conf entry" in refused.stderr


def test_the_object_store_tells_requests_and_bytes(tmp_path: Path, authority: Authority) -> None:
    port, statsd, certificate = free_port(), f"127.0.0.1:{free_port()}", authority.issue("object-store")
    (tmp_path / "objects").mkdir()
    access, secret = tmp_path / "access", tmp_path / "secret"
    access.write_text(ACCESS_KEY)
    secret.write_text(SECRET_KEY)
    command: list[str | Path] = [
        tool_bin("versitygw") / "versitygw", "--port", f"127.0.0.1:{port}",
        "--cert", certificate.certificate_file, "--key", certificate.key_file, "--quiet",
        "posix", tmp_path / "objects",
    ]  # fmt: skip
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    environment = os.environ | keys | store_env(statsd)
    settings = S3Settings(
        endpoint=HttpUrl(f"https://127.0.0.1:{port}"),
        ca_file=authority.ca_file,
        access_key_file=access,
        secret_key_file=secret,
    )
    with (
        exporters.statsd_exporter(tmp_path, statsd) as url,
        running(command, tmp_path / "log", ready=lambda: listens(port), seconds=30, environment=environment),
    ):
        store = ObjectStore(settings)
        store.make_bucket("test")
        store.put("test", "a", [b"x" * 1000], 1000)
        assert b"".join(store.read("test", "a")) == b"x" * 1000
        assert store.head("test", "missing") is None

        def told(name: str, **labels: str) -> float:
            wanted = [f"{label}={value}" for label, value in labels.items()]
            return sum(
                value
                for key, value in fetched(url).items()
                if key.startswith(name + "{") and all(w in key for w in wanted)
            )

        wait_until(lambda: told("s3_read_bytes_total", bucket="test") == 1000, what="bytes read")
        assert told("s3_written_bytes_total", bucket="test") == 1000
        assert told("s3_requests_total", action="PutObject", outcome="success", status="200") == 1
        assert told("s3_requests_total", outcome="failure", status="404") >= 1
        assert not [key for key in fetched(url) if key.startswith(("versitygw", "datadog", "dropped"))]


class Answers(BaseHTTPRequestHandler):
    """Answers by the path, and only to who asks for the right host."""

    def do_GET(self) -> None:
        status = int(self.path.strip("/") or 401) if self.headers["Host"] == NAME else 421
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
        """Not worth a line."""


@contextmanager
def https(authority: Authority) -> Iterator[int]:
    certificate = authority.issue("gateway")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_probes_see_who_answers_and_until_when_the_certificate_holds(tmp_path: Path, authority: Authority) -> None:
    other = Authority(tmp_path / "other")
    with exporters.blackbox(tmp_path, authority.ca_file, other.ca_file) as url, https(authority) as port:

        def probe(module: str, path: str = "", host: str = NAME) -> dict[str, float]:
            target = f"https://127.0.0.1:{port}/{path}"
            return fetched(f"{url}?{urlencode({'module': module, 'target': target, 'hostname': host})}")

        found = probe("http_answers")
        assert found["probe_http_status_code{}"] == 401
        assert found["probe_success{}"] == 1
        assert 24 < (found["probe_ssl_earliest_cert_expiry{}"] - time.time()) / 3600 < 49
        assert probe("http_2xx", "200")["probe_success{}"] == 1
        assert probe("http_2xx")["probe_success{}"] == 0
        assert probe("http_answers", "503")["probe_success{}"] == 0
        # Another name than the certificate's, and another authority.
        assert probe("http_answers", host=HOST)["probe_success{}"] == 0
        assert probe("http_station")["probe_success{}"] == 0
        assert fetched(f"{url}?module=tcp&target=127.0.0.1:{port}")["probe_success{}"] == 1
        assert fetched(f"{url}?module=tcp&target=127.0.0.1:{free_port()}")["probe_success{}"] == 0


def test_every_target_has_its_module_and_says_whose_it_is() -> None:
    stations = [
        ProbedStation("A", "https://10.0.0.1:9443/odata/v1", True),
        ProbedStation("B", "https://station.example/odata", False),
        ProbedStation("C", "ftps://10.0.0.1", True),
        ProbedStation("D", "ldaps://10.0.0.2:636", True),
    ]
    found = {target.name: target for target in targets("test.example", ["prip", "auth"], stations)}
    assert found[HOST].hostname == HOST
    assert found["auth.test.example"].module == "http_2xx"
    assert found["A"] == Target("A", "https://10.0.0.1:9443/odata/v1", "http_station", "http", station=True)
    assert found["B"].module == "http_public"
    assert (found["C"].address, found["C"].module, found["C"].probe) == ("10.0.0.1:21", "ftps_station", "tls")
    assert station_target(stations[3]).module == "tcp"
    labels = {
        each["labels"].get("station", each["labels"].get("target")): each["labels"]
        for each in probe_job(list(found.values()))["static_configs"]
    }
    assert labels["A"] == {"__param_module": "http_station", "station": "A", "probe": "http"}
    assert labels[HOST]["__param_hostname"] == HOST
