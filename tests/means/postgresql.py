"""A real PostgreSQL 15 with PostGIS on loopback (Debian: postgresql-15, postgresql-15-postgis-3)."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.means.processes import Server, free_port, running

BINARIES = Path("/usr/lib/postgresql/15/bin")
USER = "postgres"


@dataclass(frozen=True)
class PostgreSQL:
    """A running server."""

    port: int
    password_file: Path
    server: Server | None = None

    def url(self, database: str) -> str:
        """SQLAlchemy URL without password."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        """Run one statement as administrator."""
        environment = os.environ | {"PGPASSWORD": self.password_file.read_text()}
        command = [
            str(BINARIES / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", "postgres",
            "-v", "ON_ERROR_STOP=1", "-qc", statement,
        ]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"psql: {statement}: {done.stderr}")


def _as_postgres(*command: str | Path) -> list[str]:
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
    return [*become, *map(str, command)]


def _make(folder: Path, data: Path, password_file: Path) -> None:
    password_file.write_text(secrets.token_urlsafe(16))
    if os.geteuid() == 0:
        shutil.chown(folder, USER, USER)
        shutil.chown(password_file, USER, USER)
        for parent in folder.parents:  # pytest's folders are for their owner only
            if parent.stat().st_mode & 0o005 != 0o005:
                parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(
        _as_postgres(
            BINARIES / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        ),
        check=True,
        capture_output=True,
        cwd="/",
    )  # fmt: skip


@contextmanager
def postgresql(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[PostgreSQL]:
    """Run a server with its data in a folder until the context ends; `settings` go before the tests' own.

    The data stay there: another server may go on with them.
    """
    if not BINARIES.is_dir():
        raise RuntimeError("PostgreSQL 15 is missing: apt-get install postgresql-15 postgresql-15-postgis-3")
    folder.mkdir(parents=True, exist_ok=True)
    data, password_file, port = folder / "data", folder / "password", free_port()
    if not data.exists():
        _make(folder, data, password_file)
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "shared_buffers": "64MB",
        "max_connections": "100",
        **(settings or {}),
    }
    command = _as_postgres(BINARIES / "postgres", "-D", data)
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    probe = [str(BINARIES / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]

    def accepts() -> bool:
        return subprocess.run(probe, check=False).returncode == 0

    with running(command, folder.parent / "postgresql.log", ready=accepts, seconds=60) as server:
        yield PostgreSQL(port, password_file, server)
