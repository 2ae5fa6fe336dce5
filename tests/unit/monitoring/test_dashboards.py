"""Dashboards: every query parses and asks for metrics that there are, and Grafana finds what it is pointed at."""

import json
from pathlib import Path

import pytest
import yaml
from tests.means.prometheus import promtool
from tests.unit.monitoring.metrics import JOBS, jobs, unknown

from refsys.monitoring.dashboards import BOARDS, Board, Sources, write
from refsys.monitoring.dashboards.board import WIDTH
from refsys.monitoring.dashboards.provisioning import dashboard_json

FOLDERS = {
    *("Nodes", "Cluster", "Kafka", "PostgreSQL", "Ingestion", "Catalogue", "Processing", "Distribution", "Security"),
    *("KPIs", "Finops"),
}
every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def test_there_is_a_folder_for_each_subject() -> None:
    assert {board.title for board in BOARDS} == FOLDERS
    assert len({board.uid for board in BOARDS}) == len(BOARDS)


def test_prometheus_reads_all_queries(tmp_path: Path) -> None:
    written = {f"{board.uid}:{place}": text for board in BOARDS for place, text in enumerate(board.expressions)}
    rules = [{"record": f"panel:{name}", "expr": text} for name, text in written.items()]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@every_board
def test_queries_ask_for_metrics_and_jobs_that_there_are(board: Board) -> None:
    for expression in board.expressions:
        assert unknown(expression) == set(), expression
        assert jobs(expression) <= JOBS, expression
        assert "$" not in expression


@every_board
def test_panels_lie_side_by_side(board: Board) -> None:
    panels = json.loads(dashboard_json(board))["panels"]
    assert len(panels) == len(board.panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in lines}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_grafana_finds_what_it_is_pointed_at(tmp_path: Path) -> None:
    files = write(tmp_path, Sources(prometheus="https://prometheus.example", tls="/tls"))
    assert {file.parent.name for file in files if file.suffix == ".json"} == FOLDERS
    sources = yaml.safe_load((tmp_path / "provisioning/datasources/refsys.yaml").read_text())["datasources"]
    assert sources[0]["url"] == "https://prometheus.example"
    assert sources[0]["secureJsonData"]["tlsClientKey"] == "$__file{/tls/tls.key}"
    known = {(source["type"], source["uid"]) for source in sources}
    for file in files:
        if file.suffix == ".json":
            for panel in json.loads(file.read_text())["panels"]:
                assert (panel["datasource"]["type"], panel["datasource"]["uid"]) in known
                assert panel["targets"]
    assert write(tmp_path, Sources()) == files
