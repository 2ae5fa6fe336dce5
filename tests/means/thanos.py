"""The real Thanos on loopback, with an environment's arguments; each program behind mutual TLS."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from refsys.infra.toolchain import tool_bin
from refsys.monitoring.components.thanos_config import (
    GUARDED,
    GrpcTls,
    Kept,
    Listening,
    bucket_config,
    compactor_arguments,
    endpoints_config,
    query_arguments,
    sidecar_arguments,
    store_arguments,
)
from refsys.platform.components.object_store import METRICS_ACCOUNT, METRICS_BUCKET, REGION
from tests.means.certificates import Authority
from tests.means.envoy import HOST, Front, before
from tests.means.object_store import S3
from tests.means.processes import Server, free_port, listens, running

NAME = "localhost"
"""In the certificates of tests."""
SECRET_KEY = "key-of-the-metrics-account"


@dataclass(frozen=True)
class Listener:
    """A running program of Thanos: where it is asked by gRPC, and for its metrics."""

    grpc: str
    http_url: str
    server: Server

    def metric(self, name: str) -> float | None:
        """The sum of a metric's series."""
        lines = httpx.get(f"{self.http_url}/metrics", trust_env=False).raise_for_status().text.splitlines()
        found = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(found) if found else None


@dataclass(frozen=True)
class Thanos:
    """Starts the programs of one environment; `folder` holds their files."""

    folder: Path
    authority: Authority
    s3: S3

    @property
    def bucket_file(self) -> Path:
        """The account's file."""
        file = self.folder / "bucket.yml"
        text = bucket_config(
            endpoint=self.s3.endpoint,
            region=REGION,
            bucket=METRICS_BUCKET,
            access_key=METRICS_ACCOUNT,
            secret_key=SECRET_KEY,
            ca_file=str(self.s3.ca_file),
        )
        file.write_text(text)
        return file

    @contextmanager
    def sidecar(self, prometheus_url: str, data: Path) -> Iterator[Listener]:
        """What uploads the blocks of a Prometheus."""
        listening, url = self._listening("prometheus")
        arguments = sidecar_arguments(prometheus_url, str(data), str(self.bucket_file), listening)
        with self._running("sidecar", arguments, url) as server:
            yield Listener(listening.grpc, url, server)

    @contextmanager
    def store(self) -> Iterator[Listener]:
        """What answers for the blocks of the object store; it looks for new ones every second."""
        listening, url = self._listening("thanos-store")
        arguments = store_arguments(str(self.folder / "store"), str(self.bucket_file), listening)
        arguments = tuple("--sync-block-duration=1s" if "sync-block" in each else each for each in arguments)
        with self._running("store", arguments, url) as server:
            yield Listener(listening.grpc, url, server)

    @contextmanager
    def query(self, *asked: Listener) -> Iterator[Front]:
        """What is asked, behind its sidecar."""
        http, file = f"{HOST}:{free_port()}", self.folder / "endpoints.yml"
        file.write_text(endpoints_config([each.grpc for each in asked], self.tls("thanos-query")))
        arguments = query_arguments(http, f"{HOST}:{free_port()}", str(file))
        front = self.folder / "front"
        with (
            self._running("query", arguments, f"http://{http}"),
            before(GUARDED, int(http.rpartition(":")[2]), front, self.authority) as running_front,
        ):
            yield running_front

    def compact(self, *, retention_raw: str | None = None) -> subprocess.CompletedProcess[str]:
        """Let the compactor go over the bucket once; blocks count at once, and go at once."""
        http = f"{HOST}:{free_port()}"
        arguments = compactor_arguments(str(self.folder / "compactor"), str(self.bucket_file), http, Kept())
        once = [each for each in arguments if not each.startswith("--wait")]
        if retention_raw:
            once = [each for each in once if "resolution-raw" not in each] + [
                f"--retention.resolution-raw={retention_raw}"
            ]
        once += ["--consistency-delay=0s", "--delete-delay=0s"]
        return subprocess.run([_program(), *once], capture_output=True, text=True, check=False)

    def blocks(self) -> list[tuple[float, float]]:
        """Resolution in seconds and length in days of the blocks in the object store."""
        found = []
        for file in (self.s3.folder / METRICS_BUCKET).glob("*/meta.json"):
            meta = json.loads(file.read_text())
            length = (meta["maxTime"] - meta["minTime"]) / 86_400_000
            found.append((meta["thanos"]["downsample"]["resolution"] / 1000, length))
        return sorted(found)

    def tls(self, process: str) -> GrpcTls:
        """The files of a process."""
        shown = self.authority.issue(process)
        names = (shown.certificate_file.name, shown.key_file.name, self.authority.ca_file.name)
        return GrpcTls(str(shown.certificate_file.parent), names)

    def _listening(self, process: str) -> tuple[Listening, str]:
        http = f"{HOST}:{free_port()}"
        return Listening(f"{NAME}:{free_port()}", http, self.tls(process)), f"http://{http}"

    @contextmanager
    def _running(self, name: str, arguments: Sequence[str], url: str) -> Iterator[Server]:
        port = int(url.rpartition(":")[2])
        log = self.folder / f"{name}.log"
        with running([_program(), *arguments], log, ready=lambda: listens(port) and _ready(url), seconds=60) as server:
            yield server


def _program() -> Path:
    return tool_bin("thanos") / "thanos"


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
