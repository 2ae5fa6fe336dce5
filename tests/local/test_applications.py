"""Hosted applications in a running environment: logins in a real browser, roles, flows, metrics, and their removal."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from kubernetes import client, config
from kubernetes.stream import stream

from refsys.infra.applications import Application, expanded
from refsys.infra.cli.endpoints import read
from refsys.infra.clouds.local import hosts
from refsys.platform.components.applications import Hosted, application_flows
from refsys.platform.components.flows import name_flows
from refsys.platform.components.names import API_SERVER_PORT, POSTGRESQL, App
from tests.local.conftest import OPERATOR, Environment
from tests.local.probes import Probes, image, pod
from tests.local.prometheus import Asked
from tests.local.test_flows import LISTEN, OPEN, OPEN_PORT, TRY, _addresses, _expected, _plan
from tests.means.browser import Browser, first_login
from tests.means.chromium import Page, browser

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

STRANGER = {
    "name": "ben",
    "given_name": "Ben",
    "family_name": "Stranger",
    "mail": "ben@example.org",
    "groups": ["uploaders"],
}
SHARED = {
    "shipped": "xeyes",
    "name": "shared-eyes",
    "title": "Eyes of all",
    "desktop": "shared",
    "volume": {"size": "1Gi"},
    "database": True,
    "object_store": True,
    "kafka": True,
    "backup": {},
}
DECLARED: list[Any] = ["mission-planning", "sra", "xeyes", SHARED]
NAMES = ("mission-planning", "sra", "xeyes", "shared-eyes")
SECONDS = 60
# Of the display: as many colours as are seen, in the part that the program draws.
COLOURS = """(() => {
  const canvas = document.querySelector('#display canvas');
  if (!canvas) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < data.length; i += 64) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return seen.size;
})()"""


@pytest.fixture(scope="module")
def hosted(environment: Environment) -> Iterator[list[Hosted]]:
    environment.configure(users=[OPERATOR, STRANGER], applications=DECLARED)
    environment.refsys("up", environment.name)
    yield [each.hosted() for each in _declared()]


@pytest.fixture(scope="module")
def cluster(environment: Environment, hosted: list[Hosted]) -> client.ApiClient:
    return config.new_client_from_config(environment.endpoints()["kubeconfig"])


@pytest.fixture(scope="module")
def tab(environment: Environment, hosted: list[Hosted], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A tab of a browser whose user is logged in."""
    with browser(tmp_path_factory.mktemp("browser")) as found, found.page(1280) as page:
        demo = environment.endpoints()["demo"]
        page.open(_address(environment, "mission-planning"))
        _until(page, "!!document.querySelector('#password')")
        fields = json.dumps({key: demo[key] for key in ("username", "password")})
        page.value(
            f"(() => {{ for (const [name, value] of Object.entries({fields})) "
            "document.querySelector(`#${name}`).value = value; document.querySelector('form').submit(); })()"
        )
        _until(page, "location.host.startsWith('mission-planning.') && document.readyState === 'complete'")
        yield page


def _declared() -> list[Any]:
    return [Application.model_validate(each) for each in expanded(DECLARED)]


def _address(environment: Environment, name: str) -> str:
    return str(environment.endpoints()["applications"][name])


def _until(page: Page, expression: str, seconds: float = SECONDS) -> Any:
    end = time.monotonic() + seconds
    while not (found := page.value(expression)):
        assert time.monotonic() < end, (expression, page.value("location.href + document.body.innerText.slice(0, 800)"))
        time.sleep(0.5)
    return found


def test_all_of_them_are_well(environment: Environment, hosted: list[Hosted]) -> None:
    report = json.loads(environment.refsys("status", environment.name, "--json").output)
    (part,) = [part for part in report["parts"] if part["part"] == "applications"]
    assert part["state"] == "well", part
    assert {each["namespace"] for each in part["facts"]["workloads"]} == {each.app.namespace for each in hosted}


@pytest.mark.parametrize("name", ["mission-planning", "sra"])
def test_a_page_is_shown_after_one_login_for_all(
    environment: Environment, tab: Page, name: str, tmp_path: Path
) -> None:
    tab.open(_address(environment, name))
    _until(tab, f"location.host.startsWith('{name}.') && document.readyState === 'complete'")
    assert tab.value("document.title")
    assert tab.value("document.body.innerText.length") > 100
    tab.screenshot(tmp_path / f"{name}.png")
    assert not [text for text in tab.complaints if "Content Security Policy" in text]


@pytest.mark.parametrize("name", ["xeyes", "shared-eyes"])
def test_a_display_is_seen_in_the_browser(environment: Environment, tab: Page, name: str, tmp_path: Path) -> None:
    tab.open(_address(environment, name))
    _until(tab, f"location.host.startsWith('{name}.') && document.readyState === 'complete'")
    _until(tab, "document.querySelector('#state')?.textContent === 'connected'")
    _until(tab, f"{COLOURS} >= 3")
    tab.screenshot(tmp_path / f"{name}.png")


def test_who_has_no_role_is_told_so(environment: Environment, hosted: list[Hosted]) -> None:
    found = environment.endpoints()
    first = environment.refsys("first-password", "ben", environment.name).output.strip()
    visitor = Browser(found["ca_file"])
    visitor.open(_address(environment, "sra"))
    assert visitor.asks_for("password"), visitor.page[:2000]
    first_login(visitor, "ben", first, "a-new-long-password")
    assert "none of its roles is yours" in visitor.page, visitor.page[:2000]
    for name in NAMES:
        visitor.open(_address(environment, name))
        assert "none of its roles is yours" in visitor.page, name


def test_programs_come_with_a_token_and_nobody_without(environment: Environment, hosted: list[Hosted]) -> None:
    bearer, ca_file = environment.bearer(), environment.endpoints()["ca_file"]
    for name in NAMES:
        address = _address(environment, name)
        assert httpx.get(address, verify=ca_file).status_code == 401, name
        assert httpx.get(address, verify=ca_file, headers=bearer).status_code == 200, name
        for path in ("health", "metrics"):
            assert httpx.get(f"{address}{path}", verify=ca_file, headers=bearer).status_code == 404, (name, path)


def test_only_declared_flows_connect(cluster: client.ApiClient, hosted: list[Hosted]) -> None:
    core = client.CoreV1Api(cluster)
    nodes = core.list_node(label_selector="node-role.kubernetes.io/control-plane").items
    server = next(one.address for one in nodes[0].status.addresses if one.type == "InternalIP")
    flows = application_flows(hosted)
    flows = (*flows, *name_flows(flows))
    backups = {each.backup_app for each in hosted}
    inside = tuple(flow for flow in flows if flow.target not in backups and isinstance(flow.target, App))
    targets = {**_addresses(cluster, inside), "api-server": (server, API_SERVER_PORT)}
    sources = [each.app for each in hosted]
    expected = {f"{app.namespace}/{app.name}": _expected(flows, app) for app in sources}
    with Probes(cluster) as probes:
        probes.namespace(OPEN)
        picture = image(cluster)
        probes.start(OPEN, pod("listen", picture, LISTEN))
        listening = {"listen": (probes.address(OPEN, "listen"), OPEN_PORT)}
        for app in sources:
            plan = _plan(targets | listening, expected[f"{app.namespace}/{app.name}"])
            probes.start(app.namespace, pod(app.name, picture, TRY, plan=plan, labels=app.selector))
        expected[f"{OPEN}/stranger"] = {"listen", "api-server"}
        plan = _plan(targets | listening, expected[f"{OPEN}/stranger"])
        probes.start(OPEN, pod("stranger", picture, TRY, plan=plan))
        probes.wait(but="listen", seconds=180)
        core.delete_namespaced_pod("probe-listen", OPEN, grace_period_seconds=0)
        seen = {name: set(reached) for name, reached in probes.results().items()}
    assert seen == expected


def test_metrics_are_scraped(cluster: client.ApiClient, hosted: list[Hosted]) -> None:
    asked = Asked(cluster)
    end = time.monotonic() + 120
    wanted = {each.app.name for each in hosted}
    while (found := _scraped(asked)) != wanted:
        assert time.monotonic() < end, (found, wanted)
        time.sleep(5)


def _scraped(asked: Asked) -> set[str]:
    return {series["metric"]["job"] for series in asked.query('up{job=~"app-.+"} == 1')}


def test_a_backup_is_made(cluster: client.ApiClient, hosted: list[Hosted]) -> None:
    batch = client.BatchV1Api(cluster)
    template = batch.read_namespaced_cron_job("app-shared-eyes-backup", "app-shared-eyes").spec.job_template
    job = {"metadata": {"name": "backup-now"}, "spec": template.spec}
    batch.create_namespaced_job("app-shared-eyes", job)
    end = time.monotonic() + 240
    while not (status := batch.read_namespaced_job("backup-now", "app-shared-eyes").status).succeeded:
        assert time.monotonic() < end and not status.failed, status
        time.sleep(2)
    batch.delete_namespaced_job("backup-now", "app-shared-eyes", propagation_policy="Foreground")


def test_what_is_no_longer_declared_leaves_nothing(
    environment: Environment, cluster: client.ApiClient, hosted: list[Hosted]
) -> None:
    environment.configure(users=[OPERATOR], applications=[])
    environment.refsys("up", environment.name)
    core = client.CoreV1Api(cluster)
    names = {each.metadata.name for each in core.list_namespace().items}
    assert not {name for name in names if name.startswith("app-")}
    assert not [one for one in core.list_persistent_volume().items if one.metadata.name.startswith("app-")]
    assert not [name for name in hosts.read(environment.name) if name.split(".")[0] in NAMES]
    token = environment.bearer()["Authorization"].removeprefix("Bearer ")
    roles = jwt.decode(token, options={"verify_signature": False})["realm_access"]["roles"]
    assert not [role for role in roles if role.startswith(NAMES)]
    script = (
        "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'app\\_%' "
        "UNION ALL SELECT count(*) FROM pg_roles WHERE rolname LIKE 'app\\_%'"
    )
    command = ["psql", "-U", "postgres", "-h", "/run/postgresql", "-d", "refsys", "-Atc", script]
    told = stream(
        core.connect_get_namespaced_pod_exec,
        f"{POSTGRESQL.name}-0",
        POSTGRESQL.namespace,
        container=POSTGRESQL.name,
        command=command,
        stdout=True,
        stderr=True,
    )
    assert told.split() == ["0", "0"], told
    worker = environment.home / "nodes"
    assert not list(worker.glob("**/volumes/app-*"))
    assert "applications" not in read(environment.name)
    status = json.loads(environment.refsys("status", environment.name, "--json").output)
    assert "applications" not in {part["part"] for part in status["parts"]}
