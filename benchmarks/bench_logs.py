"""How fast logs come in: `python benchmarks/bench_logs.py [--lines 400000]`.

Lines as containers write them go through a node's rsyslog, Kafka, the indexer and OpenSearch, each a process of its own
and configured as in an environment, with mutual TLS between them:

- collector: a backlog in files until Kafka has it, beside a plain producer and consumer of the same records;
- indexer: what Kafka has until the store has it, beside the store's own bulk requests with ready documents;
- end to end: lines that come a quarter faster than the target, until the store has the last one;
- memory of collector and indexer in the course of it;
- how long it takes until a line is found, at rest and at half the rate of end to end.

On a machine that others use as well the rates are those of what is left. The processor time a line costs, and what
two cores would make of it if nobody else used them, are shown beside.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "src")]

from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient  # noqa: E402
from confluent_kafka.cimpl import NewTopic  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from tests.means.log_lines import PLACES, write  # noqa: E402
from tests.means.log_path import PLACES as PARTITIONS  # noqa: E402
from tests.means.log_path import LogPath, log_path  # noqa: E402
from tests.means.processes import Server  # noqa: E402
from tests.means.rsyslog import Collector, collector, log_in  # noqa: E402

from refsys.services.common.kafka import kafka_options  # noqa: E402
from refsys.services.logs.records import document_of  # noqa: E402

TARGET_PER_SECOND, TARGET_SECONDS, TARGET_GROWTH = 20_000, 10.0, 1.1
CORES = 2
LOOK_SECONDS = 0.5  # a look costs two connections, which the others would have used
PROBES = 6
PEER = "peer"
PEER_INDEX = "logs-system-2000.01.01"
PEER_BULK = 2000
WARMING = 6
SHOWN = 5  # points of the memory's course
TICK_SECONDS = 0.1


@dataclass
class Course:
    """What processes used while something ran: seconds, processor time and memory by name."""

    processes: Mapping[str, Server]
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)

    def per_line(self, lines: int) -> str:
        """Microseconds of a processor for each line, by process."""
        return ", ".join(f"{name} {used / lines * 1e6:.0f}" for name, used in self.cpu.items())

    def possible(self, lines: int) -> float:
        """Lines a second for which two cores have the time."""
        return CORES * lines / sum(self.cpu.values())


def main() -> int:
    """Measure and print; the exit code says whether the targets were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=400_000, help="of each stage (default 400000)")
    lines = parser.parse_args().lines
    console = Console(width=max(Console().width, 150))
    table = Table("what", "lines/s", "peer", "ratio", "µs of a processor a line", "2 cores' lines/s", "target")
    with tempfile.TemporaryDirectory(prefix="refsys-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        load = os.getloadavg()[0]
        with log_path(folder) as path:
            good = _stages(path, lines, table, console)
    console.print(table)
    console.print(f"load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    return 0 if good else 1


def _stages(path: LogPath, lines: int, table: Table, console: Console) -> bool:
    servers: dict[str, Server] = {
        "kafka": path.kafka.server,
        "store": path.store.server,
        "sidecar": path.store.front.server,
    }
    backlog = _staged(path.folder / "backlog", lines, time.time() - lines / TARGET_PER_SECOND)
    with console.status("collector"), _collecting(path, backlog) as collecting:
        with _measured({"collector": collecting.server, "kafka": path.kafka.server}) as course:
            _until(lambda: path.written() >= lines)
        data = sum(file.stat().st_size for file in (path.folder / "kafka/data").glob("logs-*/*.log"))
        _row(table, "collector", course, lines, ("produce and consume", _kafka_peer(path, lines)))
    with console.status("the store warms up"):  # a Java program's first minutes are no measure of what it costs
        rates = [_store_peer(path, lines), _store_peer(path, lines)]
        while rates[-1] > 1.05 * rates[-2] and len(rates) < WARMING:
            rates.append(_store_peer(path, lines))
    with console.status("indexer"), path.indexer() as indexing:
        _until(lambda: path.indexed() > 0)
        first = path.indexed()
        with _measured({"indexer": indexing, **servers}) as course:
            _until(lambda: path.indexed() >= lines)
    with console.status("the store alone"):
        _row(table, "indexer", course, lines - first, ("_bulk with ready documents", _store_peer(path, lines)))
    with _collecting(path, []) as collecting, path.indexer() as indexing:
        everything = {"collector": collecting.server, "indexer": indexing, **servers}
        _found(path, collecting, "first", 1)
        staged = _staged(path.folder / "staged", lines, time.time())
        before = path.written()
        with console.status("end to end"), _measured(everything) as course:
            _append(collecting, staged, lines, 1.25 * TARGET_PER_SECOND, threading.Event())
            _until(lambda: path.indexed() >= before + lines)
        rate = lines / course.seconds
        good = _row(table, "end to end", course, lines, None, TARGET_PER_SECOND)
        flat = all(_memory(table, name, course.memory[name]) for name in ("collector", "indexer"))
        with console.status("at rest"):
            rest = _found(path, collecting, "rest")
        with console.status("under load"), _load(collecting, staged, lines, rate / 2):
            loaded = _found(path, collecting, "loaded")
    table.add_row("a line in Kafka, bytes", f"{data / lines:.0f}", "", "", "", "", "")
    soon = all([_seconds(table, "found, at rest", rest), _seconds(table, f"found, at {rate / 2:.0f} lines/s", loaded)])
    return good and flat and soon


def _staged(folder: Path, lines: int, start: float) -> list[Path]:
    """Lines ready to be appended, so that making them is not measured.

    Their times go on from `start` as those of an environment do: the store finds an old id the sooner for it.
    """
    folder.mkdir()
    files = [folder / f"{namespace}.{container}" for namespace, container in PLACES]
    write(files, lines, "bench", start, TARGET_PER_SECOND)
    return files


@contextmanager
def _collecting(path: LogPath, backlog: list[Path]) -> Iterator[Collector]:
    """A collector that finds a backlog, in a folder of its own."""
    folder = path.folder / f"node-{len(list(path.folder.glob('node-*')))}"
    for (namespace, container), file in zip(PLACES, backlog, strict=False):
        log = log_in(folder / "pods", namespace, container)
        shutil.copy(file, log)
    with collector(folder, path.kafka.bootstrap, path.authority) as running:
        yield running


def _append(collecting: Collector, staged: list[Path], lines: int, rate: float, over: threading.Event) -> None:
    """Append lines to the files of all containers at a rate, until they are all there or it is `over`."""
    with ExitStack() as stack:
        pairs = [
            (
                stack.enter_context(file.open("rb")),
                stack.enter_context(collecting.log_of(*place).open("ab", buffering=0)),
            )
            for place, file in zip(PLACES, staged, strict=True)
        ]
        octets = [file.stat().st_size * rate * TICK_SECONDS / lines for file in staged]
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            pieces = [source.readlines(int(size)) for (source, _), size in zip(pairs, octets, strict=True)]
            if not any(pieces):
                return
            for (_, log), piece in zip(pairs, pieces, strict=True):
                log.write(b"".join(piece))
            due += TICK_SECONDS


@contextmanager
def _measured(processes: Mapping[str, Server]) -> Iterator[Course]:
    """Fill a course while the context lasts."""
    course, over = Course(processes), threading.Event()
    before = {name: _cpu(server) for name, server in processes.items()}

    def look() -> None:
        while True:
            for name, server in processes.items():
                course.memory.setdefault(name, []).append(_mebibytes(server))
            if over.wait(1):
                return

    watching = threading.Thread(target=look)
    watching.start()
    started = time.monotonic()
    try:
        yield course
    finally:
        course.seconds = time.monotonic() - started
        course.cpu = {name: _cpu(server) - before[name] for name, server in processes.items()}
        over.set()
        watching.join()


def _cpu(server: Server) -> float:
    used = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def _mebibytes(server: Server) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _kafka_peer(path: LogPath, lines: int) -> float:
    """Lines a second of a producer and then a consumer that do nothing else."""
    options = kafka_options(path.settings("admin"), "bench")
    values = _records(path, lines)
    admin = AdminClient(options)
    (made,) = admin.create_topics([NewTopic(PEER, len(PARTITIONS))]).values()
    made.result(30)
    started = time.monotonic()
    producer = Producer(options | {"compression.codec": "lz4", "queue.buffering.max.messages": 2 * lines})
    for value in values:
        producer.produce(PEER, value)
    producer.flush(600)
    consumer = _reader(path, [TopicPartition(PEER, number, 0) for number in range(len(PARTITIONS))])
    left = lines
    while left > 0:
        left -= len(consumer.consume(10_000, 1))
    consumer.close()
    return lines / (time.monotonic() - started)


def _reader(path: LogPath, places: list[TopicPartition]) -> Consumer:
    consumer = Consumer(kafka_options(path.settings("admin"), "bench") | {"group.id": "bench"})
    consumer.assign(places)
    return consumer


def _records(path: LogPath, lines: int) -> list[bytes]:
    consumer = _reader(path, [TopicPartition(place.topic, place.partition, 0) for place in PARTITIONS])
    values: list[bytes] = []
    while len(values) < lines:
        values += [bytes(message.value() or b"") for message in consumer.consume(10_000, 1)]
    consumer.close()
    return values


def _store_peer(path: LogPath, lines: int) -> float:
    """Lines a second of the store's own bulk requests, without sidecar and TLS, from one client."""
    now = datetime.now(UTC)
    documents = [document_of(value, now)[0] | {"indexed": now.isoformat()} for value in _records(path, lines)]
    bodies = []
    for first in range(0, lines, PEER_BULK):
        pairs = enumerate(documents[first : first + PEER_BULK], first)
        bodies.append("".join(f'{{"index":{{"_id":"{PEER}-{place}"}}}}\n{json.dumps(each)}\n' for place, each in pairs))
    with path.store.direct() as client:
        started = time.monotonic()
        for body in bodies:
            answer = client.post(
                f"/{PEER_INDEX}/_bulk", content=body, headers={"Content-Type": "application/x-ndjson"}
            ).raise_for_status()
            if answer.json()["errors"]:
                raise RuntimeError(f"the store refused documents: {answer.text[:1000]}")
        seconds = time.monotonic() - started
        client.delete(f"/{PEER_INDEX}").raise_for_status()
    return lines / seconds


def _found(path: LogPath, collecting: Collector, mark: str, probes: int = PROBES) -> list[float]:
    """Seconds until each of some lines was found by the operators' client."""
    log = collecting.log_of(*PLACES[0])
    found = []
    with path.store.client("operations") as client:
        for number in range(probes):
            time.sleep(random.uniform(0, 5))  # noqa: S311 - not in step with the store's refresh
            word = f"probe{mark}{number}"
            started = time.monotonic()
            with log.open("a") as lines:
                lines.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} stdout F {word}\n")
            query = {"query": {"match": {"message": word}}}
            _until(lambda query=query: client.post("/logs-*/_count", json=query).json()["count"] > 0)  # type: ignore[misc]
            found.append(time.monotonic() - started)
    return found


@contextmanager
def _load(collecting: Collector, staged: list[Path], lines: int, rate: float) -> Iterator[None]:
    """Append lines at a rate, until the context ends."""
    over = threading.Event()

    def append() -> None:
        while not over.is_set():
            _append(collecting, staged, lines, rate, over)

    writing = threading.Thread(target=append)
    writing.start()
    try:
        time.sleep(5)
        yield
    finally:
        over.set()
        writing.join()


def _row(  # noqa: PLR0917  # a row
    table: Table, what: str, course: Course, lines: int, peer: tuple[str, float] | None, target: float = 0
) -> bool:
    rate = lines / course.seconds
    good = rate >= target
    shown = (f"{peer[0]} {peer[1]:.0f}", f"{rate / peer[1]:.2f}") if peer else ("", "")
    aim = _coloured(f">= {target:.0f}", good) if target else ""
    table.add_row(what, f"{rate:.0f}", *shown, course.per_line(lines), f"{course.possible(lines):.0f}", aim)
    return good


def _memory(table: Table, name: str, course: list[float]) -> bool:
    points = [course[round(place * (len(course) - 1) / (SHOWN - 1))] for place in range(SHOWN)]
    flat = points[-1] <= TARGET_GROWTH * points[len(points) // 2]
    shown = " ".join(f"{point:.0f}" for point in points)
    table.add_row(f"memory of the {name}, MiB", shown, "", "", "", "", _coloured("flat", flat))
    return flat


def _seconds(table: Table, what: str, found: list[float]) -> bool:
    good = max(found) <= TARGET_SECONDS
    shown = " ".join(f"{each:.1f}" for each in found)
    table.add_row(f"{what}, s", shown, "", "", "", "", _coloured(f"<= {TARGET_SECONDS:.0f} s", good))
    return good


def _coloured(text: str, good: bool) -> str:
    return f"[{'green' if good else 'red'}]{text}[/]"


def _until(condition: Callable[[], bool], seconds: float = 1800) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
