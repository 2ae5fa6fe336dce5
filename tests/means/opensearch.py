"""A real OpenSearch on loopback with the image's jars and start script, behind its sidecar as in an environment.

It refuses to run as root: in a user namespace of its own it is somebody else, whom the tests' folders belong to.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from refsys.infra.errors import UserError
from refsys.monitoring.components.log_store_config import GUARDED, opensearch_yml
from refsys.platform.images import input_digest, maven
from refsys.platform.images.recipe import load
from refsys.platform.images.store import Store
from tests.means.certificates import Authority
from tests.means.envoy import HOST, Front, before
from tests.means.fetched import fetched
from tests.means.processes import Server, free_port, running

USER = 65532
HEAP = "-Xms256m -Xmx384m -XX:TieredStopAtLevel=1"  # it lives too short for the second compiler


@dataclass(frozen=True)
class LogStore:
    """A running log store; `port` is the server's own, of which clients know nothing."""

    front: Front
    port: int
    server: Server

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self.front.url

    def client(self, process: str | None) -> httpx.Client:
        """A client with the certificate of a process, or without one."""
        return self.front.client(process)

    def direct(self) -> httpx.Client:
        """A client past the sidecar, which may do everything."""
        return httpx.Client(base_url=f"http://{HOST}:{self.port}", timeout=30, trust_env=False)

    def clear(self) -> None:
        """Remove all indexes and templates."""
        with self.direct() as client:
            for index in client.get("/_cat/indices?format=json").raise_for_status().json():
                client.delete(f"/{index['index']}").raise_for_status()
            client.delete("/_index_template/*").raise_for_status()

    def refresh(self) -> None:
        """Let searches find all that was written."""
        with self.direct() as client:
            client.post("/_refresh").raise_for_status()


def image() -> Path:
    """The files that the image adds to its base, fetched if they are not there."""
    return fetched(f"opensearch-{input_digest('opensearch').removeprefix('sha256:')[:16]}", _fetch)


def _fetch(folder: Path) -> None:
    recipe = load("opensearch")
    assert recipe.maven is not None
    maven.stage(Store(), recipe, recipe.maven, folder)
    shutil.copytree(recipe.files, folder, dirs_exist_ok=True)
    for name in recipe.directories:
        (folder / name.lstrip("/")).mkdir(parents=True, exist_ok=True)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def opensearch(folder: Path, heap: str = HEAP) -> Iterator[tuple[int, Server]]:
    """Run the server with its data in a folder until the context ends; gives its port."""
    data, temporary, config = (folder / name for name in ("data", "temporary", "config"))
    for made in (data, temporary, config):
        made.mkdir(parents=True)
    port = free_port()
    here = {"path.data": data, "path.logs": temporary, "http.port": port, "transport.port": free_port()}
    settings = yaml.safe_load(opensearch_yml())
    if unknown := here.keys() - settings.keys():
        raise UserError(f"opensearch.yml has no {unknown}", fix="name what log_store_config.py sets")
    settings |= {name: value if isinstance(value, int) else str(value) for name, value in here.items()}
    (config / "opensearch.yml").write_text(yaml.safe_dump(settings))
    root = image()
    become = ["unshare", "--user", f"--map-user={USER}", f"--map-group={USER}"] if os.geteuid() == 0 else []
    environment = os.environ | {
        "OPENSEARCH_HOME": str(root / "opt/opensearch"),
        "OPENSEARCH_CONFIG": str(config),
        "OPENSEARCH_HEAP_OPTS": heap,
        "TMPDIR": str(temporary),
    }
    command: list[str | Path] = [*become, root / "usr/bin/opensearch-server"]
    log = folder / "opensearch.log"
    with running(command, log, ready=lambda: _answers(port), seconds=180, environment=environment) as server:
        yield port, server


@contextmanager
def log_store(folder: Path, authority: Authority, heap: str = HEAP) -> Iterator[LogStore]:
    """Run server and sidecar until the context ends."""
    with (
        opensearch(folder / "server", heap) as (port, server),
        before(GUARDED, port, folder / "sidecar", authority) as front,
    ):
        yield LogStore(front, port, server)
