"""`./refsys status`: what is not well is told with its likely cause and the next step, whatever is down."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from tests.means.operators_environment import OPERATIONS, Paper, lay_out
from typer.testing import CliRunner

from refsys.infra import kubectl_login
from refsys.infra.cli import app, status
from refsys.infra.errors import UserError
from refsys.infra.health import api_server, machine, security
from refsys.infra.health.examine import examine
from refsys.infra.health.machine import GIB, Answer, Machine
from refsys.infra.health.parts import Finding, Report, State

API = "https://api.paper.test:6443"
NOW = datetime.now(UTC)
FIGURES = {
    "stations": [{"name": "ADGS"}],
    "inWork": {"count": 0, "oldest": None},
    "deadLetters": {"waiting": 0, "restarting": 0, "oldest": None},
    "quarantined": {"count": 0, "last": None},
}
Document = dict[str, Any]


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


class Cluster:
    """What the API server tells; everything is well at first."""

    def __init__(self, paper: Paper) -> None:
        self.lists: dict[str, list[Document]] = {name: [] for name in api_server.LISTS}
        self.lists["nodes"] = [node("w1")]
        self.logs: dict[str, str] = {}
        for app_name, namespace in (("kafka", "infra"), ("openbao", "security"), ("prip", "processing")):
            self.run(app_name, namespace)
        paper.answers[API] = self

    def run(self, name: str, namespace: str, kind: str = "deployments", **changes: Any) -> Document:
        """Run one more pod of a workload of its own."""
        self.lists[kind].append(workload(name, namespace))
        self.lists["pods"].append(made := pod(name, namespace, **changes))
        return made

    def break_pod(self, name: str, state: Document | None = None, **changes: Any) -> Document:
        """Let the workload's pod not be ready."""
        found = next(each for each in self.lists["pods"] if each["metadata"]["labels"]["app"] == name)
        for each in (*self.lists["deployments"], *self.lists["stateful_sets"]):
            if each["metadata"]["name"] == name:
                each["status"] = {"readyReplicas": 0}
        found["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        container = found["status"]["containerStatuses"][0]
        container |= {"ready": False, "state": state or {"running": {}}} | changes
        return found

    def event(self, pod_name: str, namespace: str, reason: str, message: str) -> None:
        target = {"kind": "Pod", "namespace": namespace, "name": pod_name}
        fields = {"involvedObject": target, "reason": reason, "message": message, "lastTimestamp": ago(seconds=5)}
        self.lists["events"].append(fields)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        for name, path in api_server.LISTS.items():
            if request.url.path == path.partition("?")[0]:
                return httpx.Response(200, json={"items": self.lists[name]})
        key = request.url.path.split("/")[6] + (".previous" if "previous" in request.url.params else "")
        return httpx.Response(200, text=self.logs.get(key, ""))


def node(name: str, ready: str = "True", **conditions: str) -> Document:
    told = [{"type": "Ready", "status": ready, "message": "Kubelet stopped posting node status."}]
    told += [{"type": kind, "status": value} for kind, value in conditions.items()]
    return {"metadata": {"name": name}, "spec": {}, "status": {"conditions": told}}


def workload(name: str, namespace: str) -> Document:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec, "status": {"readyReplicas": 1}}


def pod(name: str, namespace: str, node_name: str | None = "w1") -> Document:
    container = {"name": name, "ready": True, "restartCount": 0, "state": {"running": {}}, "lastState": {}}
    return {
        "metadata": {
            "name": f"{name}-0",
            "namespace": namespace,
            "labels": {"app": name},
            "creationTimestamp": ago(hours=2),
            "ownerReferences": [{"kind": "ReplicaSet", "name": name}],
        },
        "spec": {
            "nodeName": node_name,
            "containers": [{"name": name, "resources": {"limits": {"memory": "256Mi"}}}],
        },
        "status": {
            "phase": "Running",
            "startTime": ago(hours=2),
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [container],
        },
    }


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    found = lay_out(tmp_path, monkeypatch)
    found.operations("/operations/v1/chain", FIGURES)
    found.operations("/operations/v1/alerts", {"count": 0, "value": []})
    found.operations("/operations/v1/logs", {"count": 0, "value": []})
    usual = Machine(30 * GIB, 70 * GIB, 8 * GIB, {"w1": Answer.KUBELET})
    monkeypatch.setattr(machine, "look", lambda _: usual)
    monkeypatch.setattr(app, "console", Console(width=160))
    return found


@pytest.fixture
def cluster(paper: Paper) -> Cluster:
    return Cluster(paper)


def states(report: Report) -> dict[str, State]:
    return {part.name: part.state for part in report.parts}


def the_finding(part: str) -> Finding:
    """What is wrong with the part, which is all that is wrong."""
    report = examine("paper")
    ((name, finding),) = [(part.name, finding) for part in report.parts for finding in part.findings]
    assert name == part
    assert finding.serious is not report.well
    return finding


def show(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app.app, ["status", "paper", *arguments])
    return done.exit_code, done.output


def test_a_well_environment_takes_six_lines(cluster: Cluster) -> None:
    code, output = show()
    assert code == 0, output
    assert output.splitlines() == [
        "environment paper is well",
        "✓ machine   disk 30% full, 70 GiB free; 8.0 GiB of memory free; 1 of 1 nodes answer",
        "✓ cluster   1 of 1 nodes ready, 0 of 0 workloads complete",
        "✓ platform  2 of 2 workloads complete, identity answers",
        "✓ chain     1 of 1 workloads complete, PRIP answers; 1 stations, 0 dead letters, nothing in work",
        "✓ security  no alert within a day; certificates hold",
    ]


def test_json_has_everything(cluster: Cluster) -> None:
    cluster.break_pod("kafka", {"waiting": {"reason": "ErrImagePull", "message": "no such image"}})
    code, output = show("--json")
    assert code == 1
    found = json.loads(output)
    assert not found["well"]
    parts = {each["part"]: each for each in found["parts"]}
    assert parts["platform"]["state"] == "not well"
    assert parts["platform"]["facts"]["not_ready_pods"] == ["infra/kafka-0"]
    assert parts["chain"]["facts"]["figures"] == FIGURES
    assert set(parts["security"]["facts"]["certificates"]) == {"authority", "kubeconfig"}


def test_a_deployment_scaled_to_zero(cluster: Cluster) -> None:
    cluster.lists["deployments"][2] |= {"spec": {"replicas": 0, "selector": {}}, "status": {}}
    found = the_finding("chain")
    assert found.what == "prip: is scaled to zero"
    assert found.next_step == "./refsys up paper sets it back"


def test_a_crash_loop_with_its_last_words(cluster: Cluster) -> None:
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    cluster.break_pod("prip", waiting, restartCount=7, lastState=ended)
    said = {"message": {"content": "cannot start"}, "custom": {"error_string": "no database"}}
    cluster.logs["prip-0.previous"] = f"begins\n{json.dumps(said)}\n\n"
    found = the_finding("chain")
    assert found.what == (
        "prip: in a crash loop, 7 restarts: it ended with 3 — begins / cannot start error=no database"
    )
    assert found.next_step == "./refsys logs paper --service prip --since 30m"
    assert show()[0] == 1


def test_too_little_memory_in_its_limit(cluster: Cluster) -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    cluster.break_pod("kafka", {"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=2, lastState=ended)
    found = the_finding("platform")
    assert "it took more memory than its limit of 256Mi" in found.what
    assert "logs kafka-0 -c kafka" in found.next_step


def test_an_image_that_cannot_be_pulled(cluster: Cluster) -> None:
    cluster.break_pod("kafka", {"waiting": {"reason": "ImagePullBackOff", "message": "registry: connection refused"}})
    found = the_finding("platform")
    assert found.what == "kafka: its image can't be pulled (ImagePullBackOff) — registry: connection refused"


def test_no_memory_on_any_node(cluster: Cluster) -> None:
    lacking = cluster.break_pod("prip")
    lacking["spec"]["nodeName"] = None
    message = "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available."
    lacking["status"]["conditions"].append({"type": "PodScheduled", "status": "False", "message": message})
    found = the_finding("chain")
    assert found.what == (
        "prip: pending: no node has the memory that it asks for (0/2 nodes are available: 2 Insufficient memory)"
    )
    assert "memory_mib of refsys:local.worker in Pulumi.paper.yaml" in found.next_step


def test_openbao_is_sealed(cluster: Cluster) -> None:
    cluster.break_pod("openbao")
    cluster.event(
        "openbao-0", "security", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"
    )
    found = the_finding("platform")
    assert found.what == "openbao: is sealed: nobody gets secrets"
    assert "delete pod openbao-0 unseals it" in found.next_step


def test_a_pod_that_runs_and_is_not_ready(cluster: Cluster) -> None:
    cluster.break_pod("prip")
    cluster.event("prip-0", "processing", "Unhealthy", "Readiness probe failed: statuscode: 503")
    cluster.logs["prip-0"] = '{"message": {"content": "database does not answer"}}'
    assert the_finding("chain").what == (
        "prip: runs, but isn't ready — Readiness probe failed: statuscode: 503 / database does not answer"
    )


def test_a_volume_that_cannot_be_mounted(cluster: Cluster) -> None:
    cluster.break_pod("prip", {"waiting": {"reason": "ContainerCreating"}})
    cluster.event("prip-0", "processing", "FailedMount", 'secret "gone" not found')
    found = the_finding("chain")
    assert found.what == 'prip: can\'t start: secret "gone" not found'


def test_no_pod_because_it_was_refused(cluster: Cluster) -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "admission: image is not signed"}
    cluster.lists["deployments"][2]["status"] = {"conditions": [refused]}
    cluster.lists["pods"].pop()
    assert the_finding("chain").what == "prip: has no pod: admission: image is not signed"


def test_pods_with_the_same_cause_are_told_of_together(cluster: Cluster) -> None:
    for number in range(5):
        cluster.run(f"stac{number}", "processing")
        cluster.break_pod(f"stac{number}", {"waiting": {"reason": "ErrImagePull"}})
    assert the_finding("chain").what == "stac0, stac1, stac2 and 2 more: its image can't be pulled (ErrImagePull)"


def test_a_node_that_is_away_explains_its_pods(cluster: Cluster) -> None:
    cluster.lists["nodes"] = [node("w1", ready="Unknown")]
    for name in ("kafka", "prip"):
        cluster.break_pod(name)
    found = the_finding("cluster")
    assert found.what == "node w1 isn't ready (Kubelet stopped posting node status.), with 3 pods on it"


def test_nodes_under_pressure_and_cordoned(cluster: Cluster) -> None:
    cluster.lists["nodes"] = [node("w1", DiskPressure="True"), node("w2")]
    cluster.lists["nodes"][1]["spec"]["unschedulable"] = True
    part = examine("paper").parts[1]
    assert [finding.what for finding in part.findings] == [
        "node w1 is short of disk: pods may be ended",
        "node w2 takes no new pods: it is cordoned",
    ]


def test_somebodys_own_pod_counts_and_one_of_a_rollout_is_a_notice(cluster: Cluster) -> None:
    cluster.lists["pods"].append(own := pod("mine", "default"))
    own["metadata"]["ownerReferences"] = []
    cluster.break_pod("mine", {"waiting": {"reason": "ErrImagePull"}})
    assert the_finding("cluster").what.startswith("mine-0: its image can't be pulled")
    cluster.lists["pods"].remove(own)
    cluster.lists["pods"].append(newer := pod("prip", "processing"))
    newer["metadata"]["name"] = "prip-1"
    newer["status"]["conditions"] = []
    newer["status"]["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {"reason": "ErrImagePull"}}}
    found = the_finding("chain")
    assert found.what == "prip: its new version doesn't come up: its image can't be pulled (ErrImagePull)"
    assert not found.serious


def test_jobs_that_gave_up_unless_a_later_one_did_it(cluster: Cluster) -> None:
    def job(name: str, minutes: int, **job_status: Any) -> Document:
        template = {"metadata": {"labels": {"app.kubernetes.io/name": "migrate"}}}
        meta = {"name": name, "namespace": "processing", "creationTimestamp": ago(minutes=minutes)}
        return {"metadata": meta, "spec": {"template": template}, "status": job_status}

    failed = {"type": "Failed", "status": "True", "message": "Job has reached the specified backoff limit"}
    cluster.lists["jobs"] = [job("migrate-2", 5, conditions=[failed])]
    assert the_finding("chain").what == "job migrate gave up: Job has reached the specified backoff limit"
    cluster.lists["jobs"].append(job("migrate-3", 1, succeeded=1))
    assert examine("paper").well


def test_a_process_that_restarts_now_and_then_is_a_notice(cluster: Cluster) -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(minutes=3)}
    container = cluster.lists["pods"][2]["status"]["containerStatuses"][0]
    container |= {"restartCount": 4, "lastState": {"terminated": ended}}
    found = the_finding("chain")
    assert found.what.startswith("prip: restarted 4 times, last at ")
    assert found.what.endswith("it took more memory than its limit")
    assert not found.serious
    # What ended while the environment came up is over.
    cluster.lists["pods"][2]["status"]["startTime"] = ago(minutes=8)
    assert examine("paper").well
    assert not examine("paper").parts[3].findings


def test_the_api_server_is_down(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Machine(30 * GIB, 70 * GIB, 8 * GIB, {"cp1": Answer.SILENT, "w1": Answer.REFUSED})
    monkeypatch.setattr(machine, "look", lambda _: silent)
    report = examine("paper")
    assert states(report) == {
        "machine": State.UNWELL,
        "cluster": State.UNWELL,
        "platform": State.UNKNOWN,
        "chain": State.UNKNOWN,
        "security": State.WELL,
    }
    code, output = show()
    assert code == 1
    first = output.splitlines()[0]
    assert first.startswith("environment paper is not well: machine, cluster, platform, chain; begin with the first")
    assert "node cp1 doesn't answer: it doesn't run, or the network between is down" in output
    assert "node w1 runs, but its kubelet doesn't" in output
    assert "nothing from the API server: https://api.paper.test:6443 doesn't answer: nobody is there" in output


def test_everything_is_down(paper: Paper) -> None:
    paper.answers.clear()
    code, output = show()
    assert code == 1
    for text in ("PRIP (https://prip.paper.test/odata/v1/) doesn't answer", "alerts are not known"):
        assert text in output


def test_a_slow_api_server_is_told_apart(paper: Paper) -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    paper.answers[API] = slow
    assert "https://api.paper.test:6443 is there, but too slow: no answer in 8 s" in show()[1]


def test_an_unusable_kubeconfig_is_told(paper: Paper) -> None:
    (paper.home / "kubeconfig").write_text("{}")
    assert "can't be used" in show()[1]


def test_what_waits_in_the_chain_is_a_notice(cluster: Cluster, paper: Paper) -> None:
    oldest = {"name": "S1A_X", "station": "ADGS", "reason": "read timeout", "seen": ago(hours=3)}
    figures = {
        "stations": [],
        "inWork": {"count": 4, "oldest": oldest},
        "deadLetters": {"waiting": 2, "restarting": 0, "oldest": ago(days=3)},
        "quarantined": {"count": 1, "last": {"name": "S1B_Y", "station": "ADGS", "reason": "virus"}},
    }
    paper.operations("/operations/v1/chain", figures)
    part = examine("paper").parts[3]
    assert part.state is State.NOTICE
    assert [finding.what for finding in part.findings] == [
        "2 dead letters wait for an operator, the oldest since 3 d",
        "S1A_X of station ADGS is in work since 3 h: read timeout",
        "1 files were not taken within a day, the last S1B_Y: virus",
    ]
    code, output = show()
    assert code == 0
    assert output.startswith("environment paper is well, with something to look at")


def test_stations_that_do_not_answer_but_those_of_the_demo(cluster: Cluster, paper: Paper) -> None:
    def failed(station: str, seconds: float) -> Document:
        custom = {"station_string": station, "reason_string": "timed out", "next_poll_seconds_double": 60.0}
        return {"@timestamp": ago(seconds=seconds), "event": {"custom": custom}}

    records = [failed("DEMO_AUXIP", 5), failed("ADGS", 10), failed("AGAIN", 300)]
    paper.operations("/operations/v1/logs", {"count": 3, "value": records})
    assert the_finding("chain").what == "no answer of station ADGS: timed out"


def test_alerts_of_the_last_day_are_a_notice(cluster: Cluster, paper: Paper) -> None:
    counts = {"critical": 1, "high": 3, "medium": 3, "low": 7}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"count": counts[request.url.params["level"]], "value": []})

    paper.answers[f"{OPERATIONS}/operations/v1/alerts"] = answer
    assert the_finding("security") == Finding(
        "3 alerts of level high or critical within a day", "./refsys alerts paper --level high", serious=False
    )
    assert "alerts of a day: 1 critical, 2 high, 4 low; certificates hold" in show()[1]


def test_without_an_answer_of_the_log_store_security_is_not_known(cluster: Cluster, paper: Paper) -> None:
    paper.operations("/operations/v1/alerts", {"error": {"message": "the log store does not answer"}}, 503)
    report = examine("paper")
    assert not report.well
    assert states(report)["security"] is State.UNKNOWN
    assert "the log store does not answer" in show()[1]


def test_where_nobody_is_logged_in_the_rest_is_judged(
    cluster: Cluster, paper: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = paper.home / "endpoints.json"
    endpoints = json.loads(file.read_text())
    del endpoints["demo"]
    file.write_text(json.dumps(endpoints))
    begun = {"verification_uri_complete": "https://auth.paper.test/device", "expires_in": 600}
    monkeypatch.setattr(kubectl_login.Issuer, "_post", lambda *_, **__: begun)
    report = examine("paper")
    assert report.well
    assert [finding.what for finding in report.parts[4].findings] == ["nobody is logged in"]
    kept = kubectl_login.kept_file(endpoints["issuer"], endpoints["client_id"])
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"access_token": "of-anna", "ends": time.time() + 300}))
    assert not examine("paper").parts[4].findings
    assert "Bearer of-anna" in {request.headers.get("authorization") for request in paper.asked}


@pytest.mark.parametrize(
    ("begun", "left", "said", "serious"),
    [
        (timedelta(days=300), timedelta(days=65), None, False),
        (timedelta(days=320), timedelta(days=45), "ends in 45 d", False),
        (timedelta(days=360), timedelta(days=5), "ends in 5 d", True),
        (timedelta(days=366), timedelta(days=-1), "ended at ", True),
        (timedelta(hours=16), timedelta(hours=8), None, False),
    ],
)
def test_certificates_are_judged_by_their_life(
    begun: timedelta, left: timedelta, said: str | None, serious: bool
) -> None:
    none: Mapping[str, int] = {"critical": 0}
    part = security.judge("paper", none, {"gateway": security.Life(NOW - begun, NOW + left)}, NOW)
    if said is None:
        assert part.state is State.WELL
    else:
        assert said in part.findings[0].what
        assert part.findings[0].serious is serious


def test_disk_and_memory() -> None:
    def found(used: int, memory: int) -> list[Finding]:
        part = machine.judge("paper", Machine(used * GIB, (100 - used) * GIB, memory * GIB, {}))
        return list(part.findings)

    assert not found(50, 4)
    assert [finding.serious for finding in found(90, 4)] == [False]
    assert [finding.serious for finding in found(96, 4)] == [True]
    assert "GiB of memory left" in found(50, 0)[0].what
    busy = machine.judge("paper", Machine(0, GIB, 4 * GIB, {}, load=12.3))
    assert "12 processes wait for each processor" in busy.findings[0].what
    assert busy.state is State.NOTICE


def test_waiting_tells_what_lacks_and_gives_up_with_the_reason(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.break_pod("kafka", {"waiting": {"reason": "ErrImagePull"}})
    notes: list[str] = []

    def mend(_: float) -> None:
        cluster.lists["deployments"][0]["status"] = {"readyReplicas": 1}
        cluster.lists["pods"][0] = pod("kafka", "infra")

    monkeypatch.setattr(time, "sleep", mend)
    status.wait_until_well("paper", notes.append)
    assert notes == ["platform: kafka: its image can't be pulled (ErrImagePull)"]
    cluster.break_pod("kafka", {"waiting": {"reason": "ErrImagePull"}})
    monkeypatch.setattr(status, "WELL_SECONDS", -1)
    with pytest.raises(UserError, match="platform: kafka: its image can't be pulled"):
        status.wait_until_well("paper", notes.append)


def test_no_such_environment() -> None:
    error = CliRunner().invoke(app.app, ["status", "no-such-environment"]).exception
    assert isinstance(error, UserError)
    assert "environment no-such-environment is not up" in str(error)


def test_applications_are_a_part_where_there_are_some(cluster: Cluster, paper: Paper) -> None:
    assert "applications" not in states(examine("paper"))
    file = paper.home / "endpoints.json"
    addresses = {"sra": "https://sra.paper.test/", "notes": "https://notes.paper.test/"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"applications": addresses}))
    cluster.run("app-sra", "app-sra")
    assert the_finding("applications").what == "notes has no workload in the cluster"
    cluster.run("app-notes", "app-notes", kind="stateful_sets")
    report = examine("paper")
    assert states(report)["applications"] is State.WELL
    (part,) = [part for part in report.parts if part.name == "applications"]
    assert part.seen == "2 of 2 workloads complete" and part.facts["addresses"] == addresses
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": ""}}
    cluster.break_pod("app-sra", waiting)
    assert states(examine("paper")) | {"applications": State.UNWELL, "cluster": State.WELL} == states(examine("paper"))
