"""OpenBao as an environment has it: who gets what, how it ends and is renewed, and how it comes back."""

import gzip
import os
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import hvac
import pytest
import uvicorn
from cryptography import x509
from fastapi import FastAPI
from hvac.exceptions import Forbidden, InvalidRequest
from sqlalchemy import text
from tests.means.openbao import Lives, OpenBao, openbao
from tests.means.postgresql import PostgreSQL, postgresql
from tests.means.processes import free_port
from tests.plugin.api_server import Cluster, running
from tests.services.conftest import wait_until

from refsys.platform.components.names import (
    CADIP,
    CATALOGUE,
    INGESTION_WORKER,
    MIGRATE,
    OPENBAO_BACKUP,
    OPENBAO_SETUP,
    PRIP,
    App,
)
from refsys.platform.components.postgresql_config import DATABASE, OWNER
from refsys.security.components.openbao_config import SNAPSHOT, Holder
from refsys.services.backup import openbao as backup
from refsys.services.common import database, https
from refsys.services.common.database import open_database
from refsys.services.common.families import BACKUPS_BUCKET
from refsys.services.common.secrets import CERTIFICATE_FILE, DATABASE_FILE, Keeper
from refsys.services.common.settings import DatabaseSettings, S3Settings, secret
from refsys.services.common.store import ObjectStore

VALUE = "value-that-nobody-may-see-4711"

PRIP_HOLDER = Holder(PRIP, "prip", ("localhost", "prip.processing.svc"), {"s3-secret-key": VALUE})
HOLDERS = (
    PRIP_HOLDER,
    Holder(CADIP, "cadip", values={"s3-secret-key": "of cadip"}),
    Holder(MIGRATE, OWNER),
    Holder(INGESTION_WORKER, "ingestion", values={"demo.password": "of a station"}),
    Holder(OPENBAO_BACKUP, values={"s3-secret-key": "of the backup"}, reads=(SNAPSHOT,)),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A server of its own: roles are common to all databases of one."""
    with postgresql(tmp_path_factory.mktemp("postgresql") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, server: PostgreSQL) -> Iterator[OpenBao]:
    with openbao(tmp_path_factory.mktemp("openbao") / "server", cluster, server) as bao:
        bao.set_up(HOLDERS)
        yield bao


@contextmanager
def keeping(bao: OpenBao, holder: Holder, folder: Path) -> Iterator[Keeper]:
    """The secrets of a holder, kept as in a process."""
    keeper = Keeper(bao.settings(holder, folder))
    keeper.keep(wait=True)
    thread = threading.Thread(target=keeper.keep, args=(False,))
    thread.start()
    try:
        yield keeper
    finally:
        keeper.close()
        thread.join()


def database_of(server: PostgreSQL, folder: Path) -> DatabaseSettings:
    url = server.url(DATABASE).replace("//postgres@", "//nobody@")
    return DatabaseSettings(url=url, password_file=folder / DATABASE_FILE)


def users(server: PostgreSQL) -> list[str]:
    """The short-lived users that are there."""
    engine = open_database(DatabaseSettings(url=server.url("postgres"), password_file=server.password_file), "tests")
    with engine.connect() as connection:
        found = connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'")).scalars().all()
    engine.dispose()
    return sorted(found)


def held(client: hvac.Client) -> dict[str, object]:
    """Everything that the job that sets up makes."""
    lists = ("sys/policies/acl", "auth/kubernetes/role", "database/roles", "pki/roles", "kv", "pki/issuers")
    names = {path: sorted(client.list(path)["data"]["keys"]) for path in lists}
    read = {
        f"{path}/{name}": _without_times(client.read(f"{path}/{name}")["data"])
        for path in lists
        if path != "pki/issuers"
        for name in names[path]
        if name != "root"
    }
    more = {path: client.read(path)["data"] for path in ("pki/config/issuers", "database/config/postgresql")}
    engines = sorted(client.sys.list_mounted_secrets_engines()["data"])
    return {**names, **read, **more, "engines": engines}


def _without_times(data: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in data.items() if key not in ("modified", "version")}


def test_metrics_need_no_token_and_all_else_does(bao: OpenBao) -> None:
    trust = ssl.create_default_context(cafile=str(bao.ca_file))
    with httpx.Client(base_url=bao.url, verify=trust, trust_env=False) as nobody:
        told = nobody.get("/v1/sys/metrics", params={"format": "prometheus"})
        assert told.status_code == 200 and "vault_core_unsealed" in told.text
        assert VALUE not in told.text
        assert nobody.get("/v1/sys/mounts").status_code == 403


def test_setting_up_again_changes_nothing_and_removes_what_is_not_wanted(bao: OpenBao) -> None:
    administrator = bao.administrator()
    before = held(administrator)
    bao.set_up(HOLDERS)
    assert held(administrator) == before
    more = Holder(CATALOGUE, "catalogue", values={"x": "y"})
    bao.set_up([*HOLDERS, more])
    assert administrator.read("kv/catalogue")["data"] == {"x": "y"}
    said = bao.set_up(HOLDERS)
    assert "kv/catalogue" in said and VALUE not in said
    assert held(administrator) == before


def test_there_is_no_root_token_and_no_recovery_key(bao: OpenBao) -> None:
    administrator = bao.administrator()
    for accessor in administrator.list("auth/token/accessors")["data"]["keys"]:
        found = administrator.auth.token.lookup_accessor(accessor)["data"]
        assert "root" not in found["policies"]
    assert bao.client().sys.read_seal_status()["type"] == "static"
    assert "hvs." not in bao.log.read_text() and VALUE not in bao.log.read_text()


@pytest.mark.parametrize(
    ("role", "app", "audience"),
    [
        ("prip", CADIP, "openbao"),
        ("prip", App("database", "prip"), "openbao"),
        ("prip", App("processing", "default"), "openbao"),
        ("prip", PRIP, ""),
        ("prip", PRIP, "https://kubernetes.default.svc"),
        ("administrator", PRIP, "openbao"),
        ("administrator", App("processing", OPENBAO_SETUP.name), "openbao"),
    ],
)
def test_who_is_somebody_else_does_not_get_in(bao: OpenBao, role: str, app: App, audience: str) -> None:
    client = bao.client()
    with pytest.raises((Forbidden, InvalidRequest)):
        client.auth.kubernetes.login(role=role, jwt=bao.token_file(app, audience).read_text())


def test_a_holder_opens_its_own_and_nothing_else(bao: OpenBao) -> None:
    client = bao.client()
    client.auth.kubernetes.login(role="prip", jwt=bao.token_file(PRIP).read_text())
    assert client.read("kv/prip")["data"] == {"s3-secret-key": VALUE}
    for path in ("kv/cadip", "database/creds/cadip", SNAPSHOT, "sys/mounts", "database/config/postgresql"):
        with pytest.raises(Forbidden):
            client.read(path)
    for path in ("pki/issue/cadip", "pki/root/generate/internal", "kv/prip", "sys/seal", "auth/token/create"):
        with pytest.raises(Forbidden):
            client.write_data(path, data={"x": "y"})
    with pytest.raises(InvalidRequest):
        client.write_data("pki/issue/prip", data={"alt_names": "cadip.processing.svc"})
    with pytest.raises(Forbidden):
        client.list("kv")


def test_what_a_short_lived_user_makes_belongs_to_its_role(bao: OpenBao, server: PostgreSQL, tmp_path: Path) -> None:
    with keeping(bao, HOLDERS[2], tmp_path):
        engine = open_database(database_of(server, tmp_path), "tests")
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS distribution.made (id int)"))
            assert connection.execute(text("SELECT current_user")).scalar_one() == OWNER
            (user,) = connection.execute(text("SELECT session_user")).scalars()
        assert user in users(server)
    wait_until(lambda: user not in users(server), 10)  # given back with the token
    with keeping(bao, PRIP_HOLDER, tmp_path / "prip"):
        prip = open_database(database_of(server, tmp_path / "prip"), "tests")
        with prip.connect() as connection:
            owner = text("SELECT tableowner FROM pg_tables WHERE tablename = 'made'")
            assert connection.execute(owner).scalar_one() == OWNER
            assert connection.execute(text("SELECT count(*) FROM distribution.made")).scalar_one() == 0
        with pytest.raises(Exception, match="permission denied"), prip.begin() as connection:
            connection.execute(text("INSERT INTO distribution.made VALUES (1)"))
        prip.dispose()
    engine.dispose()


def test_users_end_and_are_renewed_under_load_without_an_error(
    bao: OpenBao, server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(token="6s", user="6s", user_at_most="12s")
    bao.set_up(HOLDERS, lives)
    monkeypatch.setattr(database, "RECYCLE_SECONDS", 1)
    end = time.monotonic() + 40
    seen: set[str] = set()

    def work() -> int:
        done = 0
        while time.monotonic() < end:
            with engine.connect() as connection:
                seen.add(connection.execute(text("SELECT session_user::text")).scalar_one())
            done += 1
            time.sleep(0.005)
        return done

    with keeping(bao, PRIP_HOLDER, tmp_path):
        engine = open_database(database_of(server, tmp_path), "tests", pool_size=8)
        with ThreadPoolExecutor(8) as pool:
            done = sum(pool.map(lambda _: work(), range(8)))
        engine.dispose()
        assert done > 1000
        assert len(seen) >= 3, "users were not renewed"
        assert len(users(server)) <= 3, "users that ended are still there"
    bao.set_up(HOLDERS)
    wait_until(lambda: not seen & set(users(server)), 20)


def test_the_keeper_outlasts_a_server_that_is_killed(bao: OpenBao, tmp_path: Path) -> None:
    bao.set_up(HOLDERS, Lives(token="30s", user="8s", user_at_most="16s", certificate="8s"))
    with keeping(bao, PRIP_HOLDER, tmp_path):
        certificate, user = secret(tmp_path / CERTIFICATE_FILE), secret(tmp_path / DATABASE_FILE)
        bao.process.kill()
        time.sleep(6)  # half of their lives goes by
        bao.process.start()
        wait_until(lambda: secret(tmp_path / CERTIFICATE_FILE) != certificate, 30)
        wait_until(lambda: secret(tmp_path / DATABASE_FILE) != user, 60)
    bao.set_up(HOLDERS)


def test_a_process_finds_files_that_only_it_can_read(bao: OpenBao, tmp_path: Path) -> None:
    settings = bao.settings(PRIP_HOLDER, tmp_path / "secrets")
    log = tmp_path / "log"
    variables = os.environ | bao.variables(settings) | {"REFSYS_OPERATIONS_PORT": str(free_port())}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "refsys.services", "secrets"], env=variables, stdout=output, stderr=output
        )
    try:
        wait_until((settings.folder / CERTIFICATE_FILE).exists, 30)
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in settings.folder.iterdir()}
        assert files == dict.fromkeys((CERTIFICATE_FILE, DATABASE_FILE, "s3-secret-key"), 0o600)
        user, password = secret(settings.folder / DATABASE_FILE).splitlines()
        assert user in users(bao.postgresql)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    wait_until(lambda: user not in users(bao.postgresql), 10)
    told = log.read_text()
    assert VALUE not in told and password not in told and "secrets are there" in told


def test_a_rotated_certificate_costs_no_request(bao: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "LOOK_TICKS", 2)
    bao.set_up(HOLDERS, Lives(certificate="6s"))
    app = FastAPI()
    app.add_api_route("/", lambda: "here")
    with keeping(bao, PRIP_HOLDER, tmp_path), serving(app, tmp_path / CERTIFICATE_FILE) as port:
        trust = ssl.create_default_context(cafile=str(bao.ca_file))
        serials: set[int] = set()
        statuses: list[int] = []
        end = time.monotonic() + 15
        with httpx.Client(verify=trust, base_url=f"https://localhost:{port}") as kept:
            while time.monotonic() < end:
                statuses.append(kept.get("/").status_code)
                statuses.append(httpx.get(f"https://localhost:{port}/", verify=trust).status_code)
                serials.add(shown(port))
                time.sleep(0.05)
    assert set(statuses) == {200} and len(statuses) > 50
    assert len(serials) >= 4
    bao.set_up(HOLDERS)


@contextmanager
def serving(app: FastAPI, certificate: Path) -> Iterator[int]:
    port = free_port()
    server = https.server(app, certificate, certificate, port)
    assert isinstance(server, uvicorn.Server)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 10)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()


def shown(port: int) -> int:
    pem = ssl.get_server_certificate(("localhost", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_copy_holds_nothing_in_clear_and_brings_everything_back(
    bao: OpenBao, s3: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(s3)
    store.make_bucket(BACKUPS_BUCKET)
    settings = bao.settings(HOLDERS[4], tmp_path / "secrets")
    variables = bao.variables(settings) | {
        "REFSYS_S3_ENDPOINT": str(s3.endpoint),
        "REFSYS_S3_CA_FILE": str(s3.ca_file),
        "REFSYS_S3_ACCESS_KEY_FILE": str(s3.access_key_file),
        "REFSYS_S3_SECRET_KEY_FILE": str(s3.secret_key_file),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    backup.main()
    (key,) = [found.key for found in store.list(BACKUPS_BUCKET)]
    copy = b"".join(store.read(BACKUPS_BUCKET, key))
    assert VALUE.encode() not in gzip.decompress(copy)
    with pytest.raises(backup.DamagedError):
        backup.check(copy[: len(copy) // 2])
    # Another server with an empty volume, of which only the seal's key is the same.
    with openbao(tmp_path / "other", bao.cluster, bao.postgresql, like=bao) as other:
        administrator = other.administrator()
        assert "kv/" not in administrator.sys.list_mounted_secrets_engines()["data"]
        administrator.sys.force_restore_raft_snapshot(copy)
        restored = restored_administrator(other)
        assert restored.read("kv/prip")["data"] == {"s3-secret-key": VALUE}
        assert other.set_up(HOLDERS)
    assert bao.process.peak_mebibytes() < 300


def restored_administrator(bao: OpenBao) -> hvac.Client:
    """A client of a server that is just taking over a copy."""
    found: list[hvac.Client] = []

    def ready() -> bool:
        try:
            client = bao.administrator()
            client.read("kv/prip")["data"]
        except Exception:
            return False
        found.append(client)
        return True

    wait_until(ready, 30)
    return found[0]
