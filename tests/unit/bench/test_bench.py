"""The bench: figures of runs, regressions, the gate, cases on this machine and as jobs, the page."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from typer.testing import CliRunner

from refsys.infra.bench import case as cases
from refsys.infra.bench import gate, history, jobs, page
from refsys.infra.bench.registry import Registered
from refsys.infra.bench.results import Results, run_of
from refsys.infra.bench.statistics import change, spread
from refsys.infra.cli import processor
from refsys.infra.drmaa import JobInfo
from refsys.infra.errors import UserError
from refsys.services.common.messages import utc_now
from refsys.services.execution.usage import Machine, Measures, Usage
from refsys.services.production.drmaa import Action, JobState

START = datetime(2026, 11, 1, tzinfo=UTC)
EQUAL = {"equal": True, "files": 3}
DIFFERENT = {
    "equal": False,
    "files": 3,
    "differentFiles": 1,
    "different": [
        {
            "name": "<b>x",
            "reference": "x",
            "kind": "numbers",
            "equal": False,
            "reason": "value: 1 of 9 values differ",
            "variables": [
                {"name": "value", "values": 9, "differing": 1, "notComparable": 0, "first": 4, "largestError": 2.5}
                | {"meanError": 0.3, "p99Error": 2.5, "largestRelativeError": 0.1}
            ],
        }
    ],
}
PROCESSOR = """
import pathlib
made = pathlib.Path("P_2026.SAFE")
made.mkdir()
data = pathlib.Path("data.bin").read_bytes()
(made / "a.dat").write_bytes(data)
(made / "manifest.xml").write_text("<m>%s</m>" % len(data))
pathlib.Path("job.LIST").write_text("P_2026.SAFE\\n")
print("it is done")
"""


def measures(seconds: float = 2, memory: int = 2**20, **more: Any) -> Measures:
    usage = Usage(
        seconds=seconds,
        user_seconds=seconds * 0.9,
        system_seconds=0.1,
        largest_process_octets=memory,
        memory_octets=2 * memory,
        read_octets=10**6,
        written_octets=10**6,
        storage_read_octets=0,
        storage_written_octets=0,
    )
    machine = Machine(processor="CPU", cores=2, kernel="6.1")
    return Measures(machine=machine, tasks={"t": usage}, input_octets=10**7, output_octets=10**6, **more)


def results(
    seconds: dict[float, list[float]], day: int = 0, comparison: dict[str, Any] | None = None, **more: Any
) -> Results:
    runs = [
        run_of(cores, number, {"outcome": "OK", "reason": "made 1 product"}, measures(each, comparison=comparison))
        for cores, values in seconds.items()
        for number, each in enumerate(values, 1)
    ]
    given: dict[str, Any] = {
        "case": "small",
        "processor": "level0",
        "image": "r/level0@sha256:1",
        "version": f"1.{day}",
        "environment": "local",
        "data": "d",
        "repetitions": 3,
        "outcomes": ["OK"],
        "worse": {"seconds": 0.1, "cpu": 0.1, "memory": 0.1},
        "started": START + timedelta(days=day),
        "ended": START + timedelta(days=day, hours=1),
        "runs": runs,
    }
    return Results.model_validate(given | more)


def test_a_figure_is_worse_only_beyond_threshold_and_noise() -> None:
    steady = [1.0, 1.01, 0.99, 1.0]
    assert not change([1.05, 1.06, 1.04], steady, 0.1).worse
    assert change([1.2, 1.21, 1.19], steady, 0.1).worse
    assert change([0.8, 0.81, 0.79], steady, 0.1).better
    noisy = [1.0, 1.6, 0.7, 1.5, 0.8]
    assert not change([1.2, 1.9, 0.7], noisy, 0.1).worse, "such runs are among the earlier ones, too"
    assert not change([2.0, 2.0], steady, 0.1).worse, "two runs say nothing"
    assert not change([2.0] * 3, [0.0] * 3, 0.1).worse


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_the_same_distribution_is_rarely_worse(seed: int, scale: float) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    old, new = ([scale * chance.uniform(0.98, 1.02) for _ in range(5)] for _ in range(2))
    found = change(new, old, 0.1)
    assert not found.worse and not found.better
    assert found.low <= found.ratio * 1.000001 and found.ratio <= found.high * 1.000001
    assert change([each * 1.5 for each in new], old, 0.1).worse
    assert spread([scale] * 3) == 0


def test_the_gate_asks_for_runs_outputs_and_figures() -> None:
    before = [results({1: [2.0, 2.01, 2.02]})]
    good = gate.judge(results({1: [2.0, 2.0, 2.1]}, 1, EQUAL), before)
    assert gate.holds(good) and all(check.known for check in good)
    slow = gate.judge(results({1: [3.0, 3.1, 2.9]}, 1, EQUAL), before)
    failed = [check for check in slow if not check.holds]
    assert [check.name for check in failed] == [
        "time on 1 core is not worse",
        "processor time on 1 core is not worse",
    ]
    assert failed[0].text.startswith("1.493 of the earlier median (1.436 to 1.5")
    other = gate.judge(results({1: [2.0] * 3}, 1, DIFFERENT), before)
    assert "1 of 3 files differ, first <b>x: value: 1 of 9" in next(check.text for check in other if not check.holds)
    bad = results({1: [2.0]}, 1)
    bad.runs[0].outcome, bad.runs[0].reason = "TIMEOUT", "too \x00 long"
    checks = gate.judge(bad, before)
    assert not gate.holds(checks)
    suite = etree.fromstring(gate.as_junit(bad, checks))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "1")
    assert suite.xpath("contains(testcase/failure/@message, 'too   long')")
    assert gate.as_json(bad, checks)["holds"] is False


def test_results_are_compared_with_those_of_the_same_case_data_and_machine(tmp_path: Path) -> None:
    for day, data in enumerate(["other", *"dddddd"]):
        history.save(tmp_path, results({1: [2.0]}, day, data=data))
    new = results({1: [2.0]}, 7)
    file = history.save(tmp_path, new)
    assert history.read(file) == new
    assert [each.version for each in history.earlier(tmp_path, new)] == ["1.2", "1.3", "1.4", "1.5", "1.6"]
    assert [each.version for each in history.earlier(tmp_path, results({1: [2.0]}, 2))] == ["1.1"]
    new.runs[0].machine = "another"
    assert not history.runs_of(history.earlier(tmp_path, new), new.runs[0].group)
    file.write_text("{")
    with pytest.raises(UserError, match="is no result of the bench"):
        history.read(file)


def test_scaling_is_told_against_the_fewest_cores() -> None:
    one, two = page.rows(results({2: [1.25] * 3, 1: [2.0] * 3}))
    assert (one["cores"], one["speed_up"], one["efficiency"], one["throughput"]) == (1, 1, 100, 5)
    assert (two["cores"], two["speed_up"], two["efficiency"]) == (2, 1.6, 80)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_gate_figures_and_differences() -> None:
    before = [results({1: [2.0] * 3, 2: [1.2] * 3}, day) for day in (0, 1)]
    text = page.render(results({1: [2.2, 2.0, 2.1], 2: [1.2] * 3}, 2, DIFFERENT), before)
    tags = Tags(text)
    assert not tags.open
    assert tags.seen.count("svg") == 5
    assert "The gate is closed" in text and "&lt;b&gt;x" in text and "<b>x" not in text
    assert "src=" not in text and "href=" not in text
    empty = page.render(results({}), [])
    assert "there is no run" in empty and "There is no reference" in empty


def write_case(folder: Path, script: str = PROCESSOR, **more: Any) -> Path:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "data.bin").write_bytes(bytes(300_000))
    (folder / "processor.py").write_text(script)
    given = {"name": "data.bin", "productType": "D", "family": "EDRS_SESSION", "bucket": "rs-session-files", "key": "k"}
    case = {
        "name": "small",
        "processor": "copy",
        "order": {
            "mission": "S1",
            "satellite": "S1A",
            "tasks": [{"name": "copy", "command": ["python3", str(folder / "processor.py")], "timeoutSeconds": 20}],
            "inputs": [{**given, "size": 300_000}],
            "outputs": [{"productType": "P", "family": "L0_SLICE", "pattern": r"P_\d{4}\.SAFE"}],
        },
        "here": {"data": "data", "reference": "reference"},
        "repetitions": 1,
    }
    file = folder / "case.yaml"
    file.write_text(yaml.safe_dump(case | more))
    return file


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(processor.app, [str(word) for word in words])


def test_a_processor_is_benched_here_judged_and_shown(ask: Callable[..., Any], tmp_path: Path) -> None:
    file = write_case(tmp_path, here={"data": "data"})
    run = ask("bench", file, "--here", "--keep", tmp_path / "reference", "--history", "results")
    assert run.exit_code == 0, run.output
    assert (tmp_path / "reference/P_2026.SAFE/a.dat").stat().st_size == 300_000
    run = ask("bench", write_case(tmp_path), "--here", "--history", "results", "--version", "1.1")
    assert "holds  outputs are as the reference: in 1 runs: 2 files are as the reference" in run.output
    kept = sorted((tmp_path / "results/small").glob("*.json"))
    assert len(kept) == 2
    found = json.loads(kept[1].read_text())["runs"][0]
    assert found["seconds"] > 0 and found["userSeconds"] > 0 and found["memory"] > 2**20
    assert found["read"] >= 300_000 and found["written"] >= 300_000
    assert (found["inputOctets"], found["outputOctets"]) == (300_000, 300_013)
    run = ask("gate", kept[1], "--junit", "gate.xml", "--json")
    assert run.exit_code == 0 and json.loads(run.output)["holds"]
    assert etree.parse("gate.xml").getroot().get("failures") == "0"
    assert ask("report", kept[1]).exit_code == 0
    assert "The gate is open" in kept[1].with_suffix(".html").read_text()
    assert ask("compare", "reference", "reference").exit_code == 0

    changed = write_case(tmp_path, PROCESSOR.replace("write_bytes(data)", "write_bytes(data[:-1] + b'x')"))
    assert "octet 299999 is the first that differs" in ask("bench", changed, "--here", "--history", "results").output
    assert ask("gate", max((tmp_path / "results/small").glob("*.json"))).exit_code == 1


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "import sys; print('no input'); sys.exit(200)",
            "ended with exit code 200; its log says why; it said: no input",
        ),
        ("open('job.LIST', 'w').write('/etc/passwd')", "which is not in its work folder"),
        ("pass", "LIST"),
    ],
)
def test_a_processor_that_fails_here_is_told(ask: Callable[..., Any], tmp_path: Path, script: str, told: str) -> None:
    (tmp_path / "reference").mkdir()
    run = ask("bench", write_case(tmp_path, script), "--here")
    assert run.exit_code == 1
    assert told in run.output


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"cores": [64000]}, "64000 cores can't be given"),
        ({"cores": []}, "cores: Tuple should have at least 1 item"),
        ({"rules": {"files": [{"match": "*", "as": "xml", "ignore": ["//["]}]}}, "is no XPath"),
        ({"order": {"mission": "S1"}}, "satellite: Field required"),
        ({"here": {"data": "elsewhere"}}, "input data.bin is not in"),
        ({"color": "red"}, "color: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_case_is_told(ask: Callable[..., Any], tmp_path: Path, more: dict[str, Any], told: str) -> None:
    run = ask("bench", write_case(tmp_path, **more), "--here")
    assert isinstance(run.exception, UserError)
    assert told in str(run.exception)


class Jobs:
    """A session that keeps its orders, and tells the same of each job."""

    def __init__(self, state: JobState, outcome: str, document: dict[str, Any]) -> None:
        self.orders: list[dict[str, Any]] = []
        self.controlled: list[tuple[list[str], Action]] = []
        self._info = JobInfo("id", state, outcome, "it says why", 0, "node-1", document)

    def run_job(self, order: dict[str, Any]) -> str:
        self.orders.append(order)
        return "id"

    def wait(self, job: str, timeout: float) -> JobInfo:
        if self._info.outcome == "never":
            raise KeyboardInterrupt
        return self._info

    def control(self, jobs: list[str], action: Action) -> None:
        self.controlled.append((jobs, action))


def test_a_case_runs_as_jobs_of_an_environment(tmp_path: Path) -> None:
    reference = {
        "name": "P.SAFE",
        "productType": "P",
        "family": "L0_SLICE",
        "bucket": "rs-s1-l0-slices",
        "key": "P.SAFE",
    }
    case = cases.load(write_case(tmp_path, reference=[reference | {"size": 5, "folder": True}], cores=[2]))
    known = Registered(name="copy", version="1.2", image="r/copy@sha256:1", registered=utc_now(), scan={})
    told = measures(3, comparison=EQUAL).model_dump(mode="json", by_alias=True)
    session: Any = Jobs(JobState.DONE, "OK", {"measures": told})
    run = jobs.run(session, case, known, 2, 1)
    assert (run.seconds, run.node, run.cores, run.job) == (3, "node-1", 2, "id")
    assert run.comparison and run.comparison.equal
    [order] = session.orders
    assert (order["processor"]["image"], order["processor"]["version"], order["cpus"]) == ("r/copy@sha256:1", "1.2", 2)
    assert [each["key"] for each in order["bench"]["reference"]] == ["P.SAFE"]
    failed = jobs.run(Jobs(JobState.FAILED, "NOK", {}), case, known, 2, 1)  # type: ignore[arg-type]
    assert (failed.outcome, failed.reason, failed.seconds) == ("NOK", "it says why", 0)
    with pytest.raises(UserError, match="tells nothing of what it used"):
        jobs.run(Jobs(JobState.DONE, "OK", {}), case, known, 2, 1)  # type: ignore[arg-type]
    left: Any = Jobs(JobState.RUNNING, "never", {})
    with pytest.raises(KeyboardInterrupt):
        jobs.run(left, case, known, 2, 1)
    assert left.controlled == [(["id"], Action.TERMINATE)]
