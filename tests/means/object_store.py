"""A real S3 end point on loopback: versitygw over a folder, with HTTPS."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from refsys.infra.toolchain import tool_bin
from refsys.platform.components.object_store import ACCOUNTS_FILE, accounts
from tests.means.certificates import Authority
from tests.means.processes import Server, free_port, listens, running

ACCESS_KEY, SECRET_KEY = "tests-access", "tests-secret-key"  # of a test server on loopback


@dataclass(frozen=True)
class S3:
    """A running end point; `folder` holds a folder for each bucket."""

    endpoint: str
    ca_file: Path
    access_key_file: Path
    secret_key_file: Path
    folder: Path
    server: Server


@contextmanager
def object_store(folder: Path, authority: Authority, known: Mapping[str, str] | None = None) -> Iterator[S3]:
    """Run an end point with its objects in a folder until the context ends; `known`: accounts beside the root's."""
    objects = folder / "objects"
    objects.mkdir(parents=True)
    of_accounts = folder / "accounts"
    of_accounts.mkdir()
    (of_accounts / ACCOUNTS_FILE).write_text(json.dumps(accounts(known or {})))
    access, secret = folder / "access", folder / "secret"
    access.write_text(ACCESS_KEY)
    secret.write_text(SECRET_KEY)
    certificate, port = authority.issue("object-store"), free_port()
    command: list[str | Path] = [
        tool_bin("versitygw") / "versitygw", "--port", f"127.0.0.1:{port}",
        "--cert", certificate.certificate_file, "--key", certificate.key_file, "--quiet", "posix", objects,
    ]  # fmt: skip
    environment = os.environ | {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    environment["VGW_IAM_DIR"] = str(of_accounts)
    log = folder / "object-store.log"
    with running(command, log, ready=lambda: listens(port), seconds=30, environment=environment) as server:
        yield S3(f"https://127.0.0.1:{port}", authority.ca_file, access, secret, objects, server)
