"""The running cloud: built where it was never built here, else started warm from what is saved."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import SDKException

from refsys.infra import paths, shell
from tests.means.openstack import catalogue, configuration, node, packages

READY_SECONDS = 900


@dataclass(frozen=True)
class Cloud:
    """A running cloud and how to log in there."""

    password: str
    key: Path
    ready_after: float
    """Seconds from the start of the node until everything answered."""

    auth_url: str = f"http://{configuration.ADDRESS}:5000/v3"

    def admin(self) -> Connection:
        """A session of the administrator."""
        return catalogue.connect("admin", self.password, "admin")

    def tester(self) -> Connection:
        """A session of the project that the tests use."""
        return catalogue.connect(catalogue.USER, self.password, catalogue.USER)

    def run(self, command: str) -> str:
        """Run a command in the node."""
        return node.ssh(self.key, command)


@contextmanager
def running() -> Iterator[Cloud]:
    """The cloud until the context ends; what was made in it goes with it."""
    folder = paths.cache() / "openstack"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its address is one, so is the cloud
        node.sweep()
        try:
            base = _base(folder)
            layer = _configured(folder, base)
            key, word = layer / "root/.ssh/id_ed25519", configuration.password(layer)
            upper = paths.environment_home(node.ENVIRONMENT) / "written"
            with node.mounted([layer, base], upper):
                started = time.monotonic()
                since = _now()
                node.boot()
                _wait_until_ready(word, since, key)
                yield Cloud(word, key, time.monotonic() - started)
        finally:
            node.sweep()


def _base(folder: Path) -> Path:
    """The root file system with all packages."""
    base = folder / f"packages-{packages.digest()}"
    if not base.is_dir():
        staging = Path(tempfile.mkdtemp(prefix=".packages.", dir=folder))
        try:
            packages.install(staging)
            staging.chmod(0o755)
            staging.rename(base)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return base


def _configured(folder: Path, base: Path) -> Path:
    """What configuration, databases and catalogue add to the packages, saved as a layer over them."""
    layer = folder / f"cloud-{packages.digest()}-{configuration.digest()}"
    if layer.is_dir():
        return layer
    staging = Path(tempfile.mkdtemp(prefix=".cloud.", dir=folder))
    staging.chmod(0o755)
    try:
        with node.mounted([base], staging) as root:
            key = root / "root/.ssh/id_ed25519"
            key.parent.mkdir(mode=0o700, exist_ok=True)
            shell.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
            configuration.write(root, key.with_suffix(".pub").read_text())
            word, since = configuration.password(root), _now()
            node.boot()
            node.ssh(key, "/root/initialise.sh")
            _wait_for_keystone(word)
            catalogue.fill_identity(word)
            node.ssh(key, f"systemctl enable --now {' '.join(packages.SERVICES)}")
            _wait_until_ready(word, since, key)
            node.ssh(key, "nova-manage cell_v2 discover_hosts")
            catalogue.fill(word)
            node.power_off(key)
        staging.rename(layer)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return layer


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _wait_for_keystone(word: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            catalogue.connect("admin", word, "admin").authorize()
            return
        except (SDKException, ClientException):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _wait_until_ready(word: str, since: str, key: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            reason = catalogue.missing(word, since)
        except (SDKException, ClientException) as error:
            reason = str(error)
        if not reason:
            return
        if time.monotonic() > deadline:
            failed = node.ssh(key, "systemctl --failed --plain --no-legend; tail -n 3 /var/log/*/*.log | tail -n 60")
            raise TimeoutError(f"the cloud is not ready after {READY_SECONDS} s: {reason}\n{failed}")
        time.sleep(1)
