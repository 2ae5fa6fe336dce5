"""The portal over a real Prometheus, Alertmanager and database, in a real browser; and with each of them away."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import HttpUrl
from sqlalchemy import Engine, create_engine, insert
from tests.means.alertmanager import Alertmanager
from tests.means.certificates import Authority
from tests.means.chromium import Browser, Scheme, browser
from tests.means.issuer import bearer
from tests.means.prometheus import PROMTOOL, prometheus
from tests.services.conftest import wait_until
from tests.services.kept import NO_ALERTS, NO_METRICS, operations_api
from tests.services.log_store_clients import client_settings
from tests.services.serving import serving

from refsys.infra import paths
from refsys.services.common.messages import iso, utc_now
from refsys.services.common.settings import AlertmanagerSettings, PrometheusSettings
from refsys.services.distribution.auth import OPERATOR
from refsys.services.kpi import loads
from refsys.services.kpi.tables import product
from refsys.services.metrics.alertmanager import FiringAlerts
from refsys.services.metrics.prometheus import Prometheus
from refsys.services.overview import gather
from refsys.services.overview.gather import Sources
from refsys.services.overview.overview import Overview

STEP, DAY = 300, 86_400
LAYERS = ["machine", "cluster", "platform", "chain", "security"]
NOW = utc_now()
SLOW_SECONDS = 1.0
PAGE_BYTES = 60_000
SCREENS: list[tuple[int, Scheme]] = [(320, "light"), (360, "dark"), (360, "light"), (1280, "dark"), (1280, "light")]
BOX = "e.getBoundingClientRect()"
OUTSIDE = f"""[...document.querySelectorAll('section table, section b, section p')]
  .filter(e => {BOX}.right > e.closest('section').getBoundingClientRect().right).map(e => e.textContent)"""


def series() -> dict[str, Any]:
    """A day of an environment: by name and labels a value, or how it goes on (from 0 to 1)."""
    certificate = time.time() + 20 * 3600
    found: dict[str, Any] = {
        'environment:cost:eur_per_hour{kind="nodes"}': 0.23,
        'environment:cost:eur_per_hour{kind="volumes"}': lambda x: 0.02 + 0.01 * x,
        'environment:cost:eur_per_hour{kind="object-storage"}': lambda x: 0.01 * x,
        'chain:cost:eur_per_hour{kind="work",mission="S1"}': 0.19,
        'chain:cost:eur_per_hour{kind="work",mission="S2"}': 0.06,
        'chain:cost:eur_per_hour{kind="object-storage",mission="S1"}': lambda x: 0.01 * x,
        'consumergroup_topic:kafka_consumergroup_lag:sum{topic="catalog-job"}': lambda x: 900 * (x * 40 % 1) ** 4,
        "refsys_dead_letters_total": lambda x: round(3 * x),
        'probe_ssl_earliest_cert_expiry{job="blackbox",target="prip.test"}': certificate,
        'probe_success{job="blackbox",target="prip.test.example"}': 1,
        'probe_success{job="blackbox",target="auth.test.example"}': 1,
        'refsys_product_step_seconds_count{step="total"}': lambda x: 5000 * x + 300 * (x * 12 % 1),
        'refsys_product_step_seconds_bucket{step="ingestion",le="60.0"}': lambda x: 2000 * x,
        'refsys_product_step_seconds_bucket{step="ingestion",le="300.0"}': lambda x: 4000 * x + 900 * x**3,
        'refsys_product_step_seconds_bucket{step="ingestion",le="+Inf"}': lambda x: 5000 * x,
        'slo:burn:3d{slo="prip-availability"}': lambda x: 0.2 + 0.3 * x,
        'slo:burn:3d{slo="ingestion-delay"}': lambda x: 0.7 + 0.6 * x,
        'slo:burn:3d{slo="timeliness"}': 0.0,
    }
    for station in ("ADGS", "MTI_", "SGS_"):
        found[f'refsys_station_up{{station="{station}"}}'] = int(station != "SGS_")
    for number, node in enumerate(("cp1", "w1", "worker-with-a-long-name")):
        found |= {
            f'up{{job="node",node="{node}"}}': 1,
            f'kube_node_info{{node="{node}"}}': 1,
            f'kube_node_status_condition{{node="{node}",condition="Ready",status="true"}}': 1,
            f'node:cpu_busy:ratio_rate5m{{node="{node}"}}': lambda x, n=number: 0.2 + 0.2 * n + 0.3 * (x * 7 % 1),
            f'node:memory_available:ratio{{node="{node}"}}': lambda x, n=number: 0.6 - 0.2 * x * n,
            f'node:disk_available:ratio{{node="{node}",device="/dev/vda"}}': lambda x, n=number: 0.5 - 0.19 * x * n,
        }
    for namespace in ("kube-system", "infra", "processing"):
        for name in ("a", "b"):
            labels = f'{{namespace="{namespace}",deployment="{name}"}}'
            found[f"kube_deployment_spec_replicas{labels}"] = 1
            found[f"kube_deployment_status_replicas_available{labels}"] = int(namespace != "infra" or name != "b")
    return found


def write_a_day(folder: Path) -> None:
    """Make blocks of a day of samples, as if Prometheus had scraped them."""
    begin = time.time() - DAY - 600
    lines = []
    for name, value in series().items():
        for at in range(0, DAY + 1200, STEP):
            share = min(at / DAY, 1.0)
            lines.append(f"{name} {value(share) if callable(value) else value} {begin + at:.0f}")
    text = folder / "samples"
    text.write_text("\n".join([*lines, "# EOF\n"]))
    blocks = folder / "data"
    subprocess.run(
        [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", text, blocks], check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("day")
    write_a_day(folder)
    with prometheus(folder, authority) as server:
        client = Prometheus(client_settings(PrometheusSettings, server.url, authority, "operations"))
        yield client
        client.close()


@pytest.fixture
def alerts(alertmanager: Alertmanager, authority: Authority) -> Iterator[FiringAlerts]:
    posted = [
        alert("DiskFilling", "medium", "nodes/disk-filling", "/dev/vda of w1 has 12% left", 50, node="w1"),
        alert("StationDown", "high", "chain/station-down", "Station SGS_ has not answered for ten minutes", 5),
        alert("CpuBusy", "low", "nodes/cpu-busy", "Node w1 has been busy for half an hour", 90),
        alert("Odd <b>name</b>", "medium", "", "x" * 300, 1, kind="detection"),
        alert("Watchdog", "low", "monitoring/watchdog", "always", 5000),
    ]
    with alertmanager.client("prometheus") as client:
        client.post("/api/v2/alerts", json=posted).raise_for_status()
    wait_until(lambda: len(alertmanager.alerts()) == len(posted))
    reader = FiringAlerts(client_settings(AlertmanagerSettings, alertmanager.url, authority, "operations"))
    yield reader
    reader.close()


def alert(name: str, severity: str, runbook: str, summary: str, minutes: int, **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {
            "summary": summary,
            "description": "The kubelet removes images, and later pods, when less than a tenth is left.",
            "runbook": f"docs/runbooks/{runbook}.md" if runbook else "",
        },
        "startsAt": iso(NOW - timedelta(minutes=minutes)),
    }


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def runbooks(tmp_path: Path) -> Path:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    for file in (paths.CHECKOUT / "docs" / "runbooks").rglob("*.md"):
        (folder / f"{file.parent.name}.{file.name}").write_text(file.read_text())
    return folder


@contextmanager
def api_over(engine: Engine, folder: Path, overview: Overview) -> Iterator[TestClient]:
    with operations_api(engine, folder, overview=overview) as client:
        client.base_url = client.base_url.copy_with(host="operations.test.example")
        yield client


def publish(engine: Engine) -> None:
    """Products of today, some of them late."""
    with engine.begin() as connection:
        for number in range(30):
            mission = "S1" if number % 3 else "S2"
            hours = 5 if number == 4 else 1
            connection.execute(
                insert(product).values(
                    id=uuid4(), filename=f"P{number}", mission=mission, satellite=f"{mission}A", station="MTI_",
                    family="S1_L0", level="0", external=False, timeliness_name="NRT", timeliness_value_seconds=10_800,
                    end_to_end_product=True, t0_pdgs_date=NOW - timedelta(hours=hours), prip_storage_date=NOW,
                )
            )  # fmt: skip


def test_the_page_tells_how_the_environment_is(
    engine: Engine, day: Prometheus, alerts: FiringAlerts, runbooks: Path, tmp_path: Path
) -> None:
    publish(engine)
    with api_over(engine, tmp_path, Overview(Sources(day, alerts, engine), runbooks)) as api:
        view = api.get("/operations/v1/overview").raise_for_status().json()
        html = api.get("/operations/v1/portal").raise_for_status().text
        costs = api.get("/operations/v1/costs").raise_for_status().json()
        started = time.monotonic()
        api.get("/operations/v1/portal").raise_for_status()
        assert time.monotonic() - started < SLOW_SECONDS
        there = [each["runbook"] for each in view["alerts"] if each["runbook"]]
        for address in there:
            assert "What it means" in api.get(address).raise_for_status().text
        assert api.get("/operations/v1/runbooks/nodes/none").status_code == 404
        assert api.get("/operations/v1/runbooks/nodes/..").status_code in (400, 404)
    assert view["missing"] == []
    assert view["environment"] == "test.example"
    states = {line["layer"]: line["state"] for line in view["status"]}
    assert list(states) == LAYERS
    assert states == {"machine": "look", "cluster": "well", "platform": "bad", "chain": "look", "security": "look"}
    assert not view["well"]
    texts = {line["layer"]: line["text"] for line in view["status"]}
    assert texts["machine"].startswith("3 of 3 nodes answer, disk 12% free")
    assert texts["platform"].startswith("1 of 2 workloads complete, identity answers")
    assert "2 of 3 stations answer, 0 dead letters, 0 files in work" in texts["chain"]
    assert [each["name"] for each in view["alerts"]] == ["StationDown", "DiskFilling", "Odd <b>name</b>", "CpuBusy"]
    assert len(there) == 3
    values = {each["name"]: each["value"] for each in view["figures"]}
    assert values["cost"] == pytest.approx(0.27 * 24, rel=0.01)
    assert values["deadLetters"] == pytest.approx(3, abs=0.3)
    assert values["certificates"] == pytest.approx(20 * 3600, abs=300)
    assert values["published"] > 100
    assert 60 < values["ingestionDelay"] <= 300
    assert all(len(each["day"]) > 40 for each in view["figures"])
    assert [row["name"] for row in view["nodes"]] == ["cp1", "w1", "worker-with-a-long-name"]
    left = {row["name"]: row["figures"][0]["value"] for row in view["objectives"]}
    assert left == {"prip-availability": 0.5, "ingestion-delay": pytest.approx(-0.3), "timeliness": 1}
    s1, s2 = view["missions"]
    assert (s1["mission"], s1["published"], s1["late"], s1["timeliness"]) == ("S1", 20, 1, 95)
    assert (s2["mission"], s2["published"]) == ("S2", 10)
    assert costs == view["costs"]
    assert [row["name"] for row in costs["byChain"]] == ["S1", "S2"]
    assert costs["day"] == pytest.approx(sum(row["day"] for row in costs["byKind"]), abs=0.001)
    assert "Odd &lt;b&gt;name" in html
    assert json.dumps(view)


def test_a_browser_shows_it(  # noqa: PLR0917  # fixtures
    engine: Engine,
    day: Prometheus,
    alerts: FiringAlerts,
    chromium: Browser,
    runbooks: Path,
    authority: Authority,
    tmp_path: Path,
) -> None:
    publish(engine)
    with (
        api_over(engine, tmp_path, Overview(Sources(day, alerts, engine), runbooks)) as api,
        serving(cast(FastAPI, api.app), "operations", authority) as url,
    ):
        for width, scheme in SCREENS:
            with chromium.page(width, scheme, bearer("olga", [OPERATOR])) as page:
                page.open(f"{url}/operations/v1/portal")
                page.screenshot(tmp_path / f"portal-{width}-{scheme}.png")
                assert page.value("document.querySelector('h1').textContent") == "localhost"
                assert page.complaints == [], "the page keeps its own policy"
                assert page.requests == [f"{url}/operations/v1/portal"], "it needs nothing else"
                assert page.value("document.documentElement.scrollWidth") <= width
                assert page.value(OUTSIDE) == []
                assert page.value(f"[...document.querySelectorAll('svg')].every(e => {BOX}.width > 20)")
                assert page.value("document.querySelectorAll('svg path').length") >= 15
                background = page.value("getComputedStyle(document.body).backgroundColor")
                bright = sum(map(int, re.findall(r"\d+", background)[:3]))
                assert bright > 600 if scheme == "light" else bright < 150
                assert page.value("performance.getEntriesByType('navigation')[0].transferSize") < PAGE_BYTES


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_who_is_away_is_named(engine: Engine, tmp_path: Path) -> None:
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    started = time.monotonic()
    with api_over(engine, tmp_path, Overview(Sources(NO_METRICS, NO_ALERTS, nowhere))) as api:
        view = api.get("/operations/v1/overview").raise_for_status().json()
        html = api.get("/operations/v1/portal").raise_for_status().text
    assert time.monotonic() - started < gather.DEADLINE_SECONDS + 2
    assert [each["source"] for each in view["missing"]] == ["Alertmanager", "Prometheus", "the database"]
    assert {line["state"] for line in view["status"]} == {"unknown"}
    assert (view["alerts"], view["missions"], view["costs"], view["well"]) == (None, None, None, False)
    for text in ("Prometheus did not answer", "Alertmanager did not answer", "The database did not answer"):
        assert text in html


def test_who_hangs_holds_the_page_up_for_seconds_only(
    engine: Engine, hanging: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "DEADLINE_SECONDS", 1.0)
    silent = Prometheus(PrometheusSettings(url=HttpUrl(hanging)))
    with api_over(engine, tmp_path, Overview(Sources(silent, NO_ALERTS, engine))) as api:
        started = time.monotonic()
        view = api.get("/operations/v1/overview").raise_for_status().json()
        assert time.monotonic() - started < 2.5
    assert {"source": "Prometheus", "reason": "Prometheus gave no answer in 1 s"} in view["missing"]
    assert view["missions"] == [], "the database did answer"
    silent.close()


def test_missions_have_their_share(engine: Engine) -> None:
    publish(engine)
    loads.measure(engine)
    assert loads.PRODUCTS.labels("S1")._value.get() == 20
    assert loads.PRODUCTS.labels("S2")._value.get() == 10
