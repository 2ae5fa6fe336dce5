"""Dashboards and recorded series of a running environment: after a demo every query has something to show."""

import json
import re
from collections.abc import Iterable

import pytest
from kubernetes import client

from refsys.monitoring.dashboards import BOARDS, Logs, Panel
from refsys.platform.components.names import OPERATIONS
from tests.local.conftest import Environment
from tests.local.prometheus import Asked, run, until
from tests.unit.monitoring.metrics import rules, used

pytestmark = pytest.mark.timeout(900)

SECONDS = 180
SLOWEST_SECONDS = 1.0
# What graphs show of the time since the demo; they ask for ranges, which hold what is not there any more.
GRAPH = "last_over_time(({})[2h:30s])"
NOT_THERE = {"Age of signatures, days": "this environment has no mirror of ClamAV's signatures"}
"""Panels that stay empty here, and why."""
NOT_YET = {
    "refsys_uploads_total": "the demo uploads nothing",
    "refsys_recalls_total": "no product was ordered that only an archive has",
    "refsys_evicted_products_total": "no product is old enough",
    "refsys_eviction_failures_total": "nothing was evicted",
    "refsys_dead_letters_total": "no message failed",
    "refsys_dead_letter_restarts_total": "no message failed",
    "refsys_job_attempts_total": "no job had to be tried again",
    "refsys_prip_quota_refused_total": "nobody asked for too much",
    "refsys_notifications_posted_total": "nobody subscribed",
    "refsys_notifications_queued_total": "nobody subscribed",
    "refsys_notifications_dropped_total": "nobody subscribed",
    "refsys_routing_transfers_total": "there are no rules of routing",
    "refsys_production_overdue_seconds": "no job waits any more",
    "refsys_ondemand_quota_refused_total": "nobody ordered too much",
    "refsys_products_late_total": "the demo's products come in time",
    "kube_pod_container_status_waiting_reason": "no container waits",
    "kube_job_failed": "no job failed",
    "clamav_scan_infected": "nodes are scanned by night",
    "clamav_signatures_timestamp_seconds": "no mirror",
    "clamav_host_signatures_timestamp_seconds": "no mirror",
    "envoy_http_rbac_denied": "nobody was refused by his role",
}
"""Metrics that begin with an event which a demo does not make, and why; panels show zero until then."""
SEARCH = """
import json, sys
from refsys.services.common.settings import LogStoreSettings, load
from refsys.services.logs.store import LogStore
store = LogStore(load(LogStoreSettings))
for query in json.loads(sys.argv[1]):
    asked = {"size": 0, "track_total_hits": True, "query": {"query_string": {"query": query}}}
    print(json.dumps(store.search("logs-*", asked)))
"""


@pytest.fixture(scope="module")
def asked(environment: Environment, cluster: client.ApiClient) -> Asked:
    """Prometheus, which has seen a demo."""
    prometheus = Asked(cluster)
    seen = "last_over_time(slo:events:rate5m{slo='timeliness'}[2h]) and on () last_over_time(station:files:rate5m[2h])"
    if not prometheus.query(seen):
        environment.refsys("demo", environment.name)
    for _ in until(SECONDS):
        if prometheus.query(seen):
            return prometheus
    raise AssertionError("the demo is not in the figures")


def panels() -> Iterable[tuple[str, Panel, str]]:
    """Dashboard, panel and expression of all queries to Prometheus."""
    for board in BOARDS:
        own = [panel for panel in board.panels if isinstance(panel, Panel)]
        places = [panel for panel in own for _ in panel.queries]
        for panel, expression in zip(places, board.expressions, strict=True):
            yield board.title, panel, expression


def test_every_panel_has_something_to_show(asked: Asked) -> None:
    known = [(title, panel, text) for title, panel, text in panels() if panel.title not in NOT_THERE]
    wanted = [text if panel.figure else GRAPH.format(text) for _, panel, text in known]
    answers = asked.answers(wanted)
    empty = {
        f"{title}: {panel.title}": answer.get("error", text)
        for (title, panel, text), answer in zip(known, answers, strict=True)
        if answer["status"] != "success" or not answer["data"]["result"]
    }
    assert empty == {}
    slowest = max(answer["seconds"] for answer in answers)
    print(f"{len(answers)} queries, the slowest {slowest:.2f} s")  # noqa: T201 - pytest shows it with -rP
    assert slowest <= SLOWEST_SECONDS


def test_zero_is_shown_only_of_what_did_not_happen(asked: Asked) -> None:
    names = sorted({name for _, _, text in panels() for name in used(text)})
    answers = asked.answers([f"count(last_over_time({name}[2h]))" for name in names])
    found = {name for name, answer in zip(names, answers, strict=True) if answer["data"]["result"]}
    assert set(names) - found - set(NOT_YET) == set()


def test_every_recorded_series_is_there(asked: Asked) -> None:
    names = sorted({rule["record"] for _, rule in rules() if "record" in rule})
    answers = asked.answers([f"last_over_time({name}[2h])" for name in names])
    assert [name for name, answer in zip(names, answers, strict=True) if not answer["data"]["result"]] == []
    assert asked.query('sum(prometheus_rule_evaluation_failures_total{job="prometheus"})')[0]["value"][1] == "0"


def test_the_log_store_answers_every_panel(asked: Asked) -> None:
    queries = [panel.query for board in BOARDS for panel in board.panels if isinstance(panel, Logs)]
    # Nothing may have gone wrong: then a panel is empty, but each field that it asks for is in some record.
    fields = sorted({field for query in queries for field in re.findall(r"([\w.]+):", query)})
    wanted = [*queries, *(f"_exists_:{field}" for field in fields)]
    lines = run(asked.core, OPERATIONS, "operations", "python3", "-c", SEARCH, json.dumps(wanted)).splitlines()
    answers = [json.loads(line) for line in lines]
    assert len(answers) == len(wanted)
    assert all(answer["_shards"]["failed"] == 0 and not answer["timed_out"] for answer in answers)
    counts = {query: answer["hits"]["total"]["value"] for query, answer in zip(wanted, answers, strict=True)}
    assert [f"_exists_:{field}" for field in fields if not counts[f"_exists_:{field}"]] == []
