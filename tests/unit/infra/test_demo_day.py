"""The demo's production: packets of products, jobs that the chain makes, an order, a bench run."""

import tarfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console
from tests.means.downlink import Made as Downlink
from tests.means.downlink import generate

from refsys.infra.bench.results import Results, run_of
from refsys.infra.demo.benching import RULES, case_of
from refsys.infra.demo.content import Content, Packet, Session, content_of
from refsys.infra.demo.day_report import Done
from refsys.infra.demo.ordering import Ordering
from refsys.infra.demo.packets import packets_of
from refsys.infra.demo.production import Production
from refsys.infra.drmaa import JobInfo
from refsys.infra.errors import UserError
from refsys.services.bench.rules import Rules
from refsys.services.common.messages import utc_now
from refsys.services.processors.level0.job import Options, run
from refsys.services.production.drmaa import JobState

SATELLITES = ("S1A", "S2A", "S3A")
PUBLISHED = "2026-11-22T12:00:05.000Z"


def sent(made: Downlink) -> Counter[Packet]:
    return Counter(
        (channel, int(row["virtual"]), int(row["process"]), int(row["crc"]))
        for channel, truth in made.truths.items()
        for row in truth[truth["received"]]
    )


def packed(product: Path, archive: Path) -> Path:
    """A product as it is published."""
    if archive.suffix == ".tar":
        with tarfile.open(archive, "w") as opened:
            opened.add(product, product.name)
        return archive
    with zipfile.ZipFile(archive, "w") as opened_zip:
        for file in sorted(product.rglob("*")):
            opened_zip.write(file, f"{product.name}/{file.relative_to(product)}")
    return archive


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Session, list[Path]]]:
    """By satellite a session, and the archives of its products."""
    found = {}
    for satellite in SATELLITES:
        folder = tmp_path_factory.mktemp(satellite)
        made = generate(folder / "in", satellite, 1_310_000, seed=7)
        outcome = run(Options((folder / "in",), folder / "out"))
        suffix = ".tar" if satellite == "S2A" else ".zip"
        files = [packed(folder / "out" / name, folder / f"{name}{suffix}") for name in outcome.products]
        found[satellite] = Session(made.id, satellite, "DEMO_CADIP", [], {1: "dsib"}, sent(made)), files
    return found


@pytest.mark.parametrize("satellite", SATELLITES)
def test_products_have_the_packets_that_were_sent(archives: Any, satellite: str) -> None:
    session, files = archives[satellite]
    found: Counter[Packet] = Counter()
    for file in files:
        found += packets_of(file)
    assert found == session.packets
    assert found.total() > 100


def test_an_archive_that_is_none_is_told(tmp_path: Path) -> None:
    for suffix in (".zip", ".tar"):
        file = tmp_path / f"product{suffix}"
        file.write_bytes(b"no archive" * 100)
        with pytest.raises(UserError, match="is no archive"):
            packets_of(file)


class Jobs:
    """The operators' API with one job a session; `products` are what it made."""

    def __init__(self, products: dict[str, list[str]]) -> None:
        self.products = products
        self.state: dict[str, JobState] = {}

    def jobs(self, *, size: int, chain: str) -> list[JobInfo]:
        return [self._info(each) for each in self.state if chain.startswith(each[:2].lower())]

    def job_info(self, job: str) -> JobInfo:
        return self._info(job)

    def _info(self, session: str) -> JobInfo:
        document: dict[str, Any] = {
            "trigger": f"session {session}",
            "products": self.products[session],
            "chain": "s1-aiop",
        }
        document |= {"taskTable": "S1_AIOP", "created": "2026-11-22T12:00:00Z", "started": None}
        state = self.state[session]
        return JobInfo(session, state, "OK", "why", 0, "", document | {"changed": "2026-11-22T12:00:02Z"})


class Prip:
    """A PRIP with archives."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = {file.name: file for file in files}
        self.date = PUBLISHED

    def products(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {
                "Id": name,
                "Name": name,
                "ContentLength": self.files[name].stat().st_size,
                "PublicationDate": self.date,
                "Checksum": [{"Algorithm": "MD5", "Value": content_of(self.files[name]).checksums["MD5"].upper()}],
            }
            for name in names
            if name in self.files
        ]

    def product_address(self, row: dict[str, Any]) -> str:
        return str(row["Id"])

    def save(self, address: str, file: Path) -> Content:
        file.write_bytes(self.files[address].read_bytes())
        return content_of(file)


@pytest.fixture
def world(archives: Any) -> tuple[Production, Jobs, Prip, Session]:
    session, files = archives["S1A"]
    jobs = Jobs({session.id: [file.name.removesuffix(".zip") for file in files]})
    prip = Prip(files)
    return Production(prip, jobs, [session]), jobs, prip, session  # type: ignore[arg-type]


def test_a_session_is_followed_from_its_job_to_its_products(world: Any) -> None:
    production, jobs, prip, session = world
    assert production.look() == 0
    assert "made no job" in str(production.late())
    jobs.state[session.id] = JobState.RUNNING
    assert production.look() == 0
    assert "has not ended" in str(production.late())
    jobs.state[session.id] = JobState.DONE
    kept = dict(prip.files)
    prip.files.clear()
    assert production.look() == 1
    assert f"not in the PRIP: {len(kept)} products" in str(production.late())
    prip.files.update(kept)
    assert production.look() == production.total == 2
    [made] = production.fetch()
    assert (made.packets, len(made.products)) == (session.packets.total(), len(kept))
    production.check_once()
    prip.date = "2026-11-22T12:30:00.000Z"
    with pytest.raises(UserError, match="published again"):
        production.check_once()


def test_a_job_that_failed_ends_the_demo(world: Any) -> None:
    production, jobs, _, session = world
    jobs.state[session.id] = JobState.FAILED
    with pytest.raises(UserError, match=r"failed: why"):
        production.look()


def test_a_packet_that_is_missing_or_another_one_is_told(world: Any) -> None:
    production, jobs, _, session = world
    jobs.state[session.id] = JobState.DONE
    production.look()
    packet = next(iter(session.packets))
    session.packets[packet] += 1
    with pytest.raises(UserError, match="number of packets differs"):
        production.fetch()
    session.packets[packet] -= 2
    session.packets[1, 1, 1, 1] += 1
    with pytest.raises(UserError, match="1 packets differ"):
        production.fetch()
    session.packets[packet] += 1
    del session.packets[1, 1, 1, 1]


class Orders:
    """On-demand production: an order a key, in states that a test sets."""

    def __init__(self) -> None:
        self.placed: dict[str, dict[str, Any]] = {}

    def place(self, process: str, inputs: dict[str, Any], key: str) -> dict[str, Any]:
        made = {"jobID": str(uuid4()), "processID": process, "status": "accepted", "progress": 0, "message": "waits"}
        return self.placed.setdefault(key, {**made, "jobs": []})

    def order(self, order: str) -> dict[str, Any]:
        return next(each for each in self.placed.values() if each["jobID"] == order)


def test_an_order_is_placed_once_and_again_only_where_it_failed() -> None:
    orders, session = Orders(), Session("S3A_1", "S3A", "X", [], {1: "dsib"})

    def ordering() -> Ordering:
        return Ordering(orders, session, "S3A_1/ch_1/dsib")  # type: ignore[arg-type]

    first = ordering()
    assert ordering().order["jobID"] == first.order["jobID"]
    assert first.look() == 0
    orders.placed["demo S3A_1"] |= {"status": "failed", "message": "no room"}
    with pytest.raises(UserError, match="is failed: no room"):
        first.look()
    second = ordering()
    assert second.order["jobID"] != first.order["jobID"]
    assert len(orders.placed) == 2
    second.order |= {"status": "successful", "progress": 100}
    second.order["jobs"] = [{"products": [{"href": "https://prip/odata/v1/Products?$filter=x"}]}]
    assert second.look() == 1
    second.order["jobs"] = [{"products": [{"href": "https://prip/odata/v1/Products(1)/$value"}]}]
    assert second.look() == second.total


def order_document() -> dict[str, Any]:
    order = {
        "jobId": str(uuid4()), "attempt": 0, "chain": "s1-aiop", "taskTable": "S1_AIOP", "mission": "S1",
        "satellite": "S1A", "timeliness": "NRT", "priority": 100, "retries": 0, "traceparent": "", "bench": None,
        "processor": {"image": "level0", "name": "LEVEL0", "version": "1.0"}, "memoryMib": 512, "workdirMib": 1024,
        "tasks": [{"name": "LEVEL0", "command": ["level0"], "timeoutSeconds": 60}], "totalTimeoutSeconds": 90,
        "parameters": {"Processing_Station": "DEMO"}, "startTime": None, "stopTime": None,
        "inputs": [{"name": "a", "productType": "DSDB", "family": "EDRS_SESSION", "bucket": "rs-session-files",
                    "key": "s/a", "size": 3}],
        "outputs": [{"productType": "X", "family": "L0_SEGMENT", "pattern": ".*"}],
    }  # fmt: skip
    return {"order": order, "products": ["A.SAFE", "B.SAFE"], "measures": {"outputOctets": 10}}


def test_a_session_s_job_is_benched_as_it_ran() -> None:
    case = case_of(order_document())
    order = case.order_of("level0", "1.0", 1)
    assert (order.chain, order.memory_mib, order.parameters) == ("bench", 512, {"Processing_Station": "DEMO"})
    assert order.bench
    assert [(each.key, each.bucket, each.size) for each in order.bench.reference] == [
        ("A.SAFE", "rs-s1-l0-segments", 5),
        ("B.SAFE", "rs-s1-l0-segments", 5),
    ]
    assert Rules.model_validate(RULES) == case.rules


def test_the_day_is_shown(world: Any) -> None:
    production, jobs, _, session = world
    jobs.state[session.id] = JobState.DONE
    production.look()
    ordering = Ordering(Orders(), Session("S3A_1", "S3A", "X", [], {}), "x")  # type: ignore[arg-type]
    bench = Results.model_validate(
        {
            "case": "demo-level0", "processor": "LEVEL0", "image": "level0", "version": "1.0", "environment": "x",
            "data": "", "repetitions": 1, "outcomes": ["OK"], "worse": {}, "started": utc_now(), "ended": utc_now(),
            "runs": [run_of(1, 1, {"outcome": "OK", "reason": "made"}, None)],
        }
    )  # fmt: skip
    console = Console(record=True, width=200)
    made = production.fetch()
    Done(made, ordering, bench, [], {"day": "2026-11-22", "value": []}).show(console)
    text = console.export_text()
    assert f"with {session.packets.total()} packets: each as its satellite sent it" in text
    assert "s1-aiop/S1_AIOP OK" in text and "s3-l0.S3_L0" in text and "bench of LEVEL0 1.0" in text
    assert "2026-11-22: nothing came in" in text
    line = next(line for line in text.splitlines() if session.id in line)
    assert line.split()[-5:-1] == ["2.00", "0.00", "3.00", f"{made[0].download_seconds:.2f}"]
