"""Preparation and execution as processes, killed a hundred times with the jobs' pods; the test is the kubelet."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert
from tests.means.chain import kafka_variables, s3_variables
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.plugin.api_server import Cluster as ApiServer
from tests.services import test_execution
from tests.services.conftest import CHECKOUT, Bus, wait_until
from tests.services.preparing import ENABLED, NOON, Catalogued, NoMasks, jobs, stamp
from tests.services.test_execution import IMAGES, RUNNER_DONE, RUNNING, disrupted
from tests.services.test_processes import Running

from refsys.services.common.bus import Producer
from refsys.services.common.families import BUCKETS
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, utc_now
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.execution import result
from refsys.services.execution.manifests import ATTEMPT_LABEL, JOB_LABEL
from refsys.services.execution.result import Product, Result
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.states import Outcome
from refsys.services.production.tables import AddedChain

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

api_server = test_execution.api_server

KILLS, COUNT, RETRIES, LOSSES = 100, 60, 2, 3
VICTIMS = ("preparation", *("execution", "pod") * 3)
LIVES = {"preparation": 25, "execution": 4}
"""Seconds, at most: Kafka gives a process's messages to the next one ten seconds after it was killed."""
PODS = "/api/v1/namespaces/production-s1/pods"
CHAIN = f"""
name: soak
mission: S1
processor: {{image: level0, name: SOAK, version: "1.0"}}
resources: {{cpus: 0.1, memory_mib: 16, workdir_mib: 1}}
task_tables:
  - name: SOAK
    trigger: {{kind: product, family: L0_SLICE, product_types: [IW_RAW__0S]}}
    give_up: {{default: 3600}}
    retries: {RETRIES}
    tasks: [{{name: RUN, command: [/opt/run], timeout_seconds: 60}}]
    outputs: [{{family: L1_SLICE, product_types: [IW_GRDH_1S]}}]
"""
Json = dict[str, Any]


def errors_of(trigger: str) -> int:
    """How often the processor fails for a product before it makes something: of five, one always and one once."""
    return {0: RETRIES + 1, 1: 1}.get(int(trigger[-9:-5], 16) % 5, 0)


@dataclass
class Kubelet:
    """Runs pods: binds them, ends them with a result, and lets them be lost."""

    api: ApiServer
    store: ObjectStore
    triggers: Callable[[], dict[UUID, str]]
    random: Random = field(default_factory=lambda: Random(5))  # noqa: S311
    results: dict[tuple[UUID, int], Outcome] = field(default_factory=dict)
    losses: Counter[UUID] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Look at all pods again and again."""
        while not self.stop.wait(0.1):
            with self.lock:
                for pod in self.pods():
                    try:
                        self._look(pod)
                    except AssertionError:
                        continue  # it went, or was changed, meanwhile

    def pods(self) -> list[Json]:
        found: list[Json] = self.api.get(PODS)["items"]
        return [pod for pod in found if pod["status"].get("phase") in {"Pending", "Running"}]

    def lose(self) -> bool:
        """A pod that may be lost still is; False if there is none."""
        with self.lock:
            pods = [pod for pod in self.pods() if self.losses[_job(pod)] < LOSSES and pod["spec"].get("nodeName")]
            if not pods:
                return False
            pod = self.random.choice(pods)
            self.losses[_job(pod)] += 1
            try:
                if self.random.random() < 0.5:
                    self._status(pod, disrupted("DeletionByTaintManager"))
                else:
                    self.api.request("DELETE", f"{_path(pod)}?gracePeriodSeconds=0")
            except AssertionError:
                return False
            return True

    def _look(self, pod: Json) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            self.api.request("DELETE", f"{_path(pod)}?gracePeriodSeconds=0")
        elif not pod["spec"].get("nodeName"):
            target = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": "w1"}}
            self.api.request("POST", f"{_path(pod)}/binding", target)
            self._status(pod, RUNNING)
        elif self.random.random() < 0.1:
            self._end(pod)

    def _end(self, pod: Json) -> None:
        job, attempt = _job(pod), int(pod["metadata"]["labels"][ATTEMPT_LABEL])
        if (job, attempt) not in self.results:
            failures = sum(each == Outcome.NOK for (other, _), each in self.results.items() if other == job)
            fails = failures < errors_of(self.triggers()[job])
            self.results[job, attempt] = Outcome.NOK if fails else Outcome.OK
            result.write(self.store, self._result(job, attempt, self.results[job, attempt]))
        self._status(pod, RUNNER_DONE)
        self._status(pod, {"phase": "Succeeded"})

    def _result(self, job: UUID, attempt: int, outcome: Outcome) -> Result:
        name = f"{job}-{attempt}.SAFE"
        product = Product(
            name=name,
            product_type="IW_GRDH_1S",
            family="L1_SLICE",
            storage_path=f"s3://{BUCKETS['L1_SLICE']}/{name}/",
            size=7,
            stored=utc_now(),
        )
        products = [product] if outcome is Outcome.OK else []
        told = {"reason": f"ended as {outcome}", "products": products, "started": utc_now(), "ended": utc_now()}
        return Result(job_id=job, attempt=attempt, outcome=outcome, **told)

    def _status(self, pod: Json, status: Json) -> None:
        self.api.merge(f"{_path(pod)}/status", {"status": status})


def _path(pod: Json) -> str:
    return f"{PODS}/{pod['metadata']['name']}"


def _job(pod: Json) -> UUID:
    return UUID(pod["metadata"]["labels"][JOB_LABEL])


def test_a_hundred_kills_end_each_job_as_it_should_once(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    engine: Engine,
    database: DatabaseSettings,
    bus: Bus,
    kafka_server: Kafka,
    kafka_settings: Callable[[str], KafkaSettings],
    s3: S3Settings,
    s3_server: S3,
    store: ObjectStore,
    api_server: ApiServer,
) -> None:
    random = Random(11)  # noqa: S311
    with engine.begin() as connection:
        connection.execute(insert(AddedChain).values(name="soak", document=CHAIN, operator_name="olga"))
    common = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_EXECUTION_API_URL": f"https://127.0.0.1:{api_server.port}",
        "REFSYS_EXECUTION_API_TOKEN_FILE": str(api_server.folder / "token"),
        "REFSYS_EXECUTION_API_CA_FILE": str(api_server.folder / "server.crt"),
        "REFSYS_EXECUTION_IMAGES": json.dumps(IMAGES),
        **s3_variables(s3_server),
    }

    def start(name: str) -> Running:
        return Running(name, common | kafka_variables(kafka_server, name), tmp_path / f"{name}.log")

    kubelet = Kubelet(api_server, store, lambda: {each["id"]: each["trigger"] for each in jobs(engine)})
    thread = threading.Thread(target=kubelet.run, daemon=True)
    thread.start()
    processes = {name: start(name) for name in ("preparation", "execution")}
    catalogued = Catalogued(engine, Preparation(engine, ENABLED, cast(Masks, NoMasks()), {}))
    producer = Producer(kafka_settings("catalogue"), "catalogue")
    sent = 0
    killed: Counter[str] = Counter()
    while killed.total() < KILLS:
        if sent < COUNT:
            begin = NOON + timedelta(seconds=25 * sent)
            times = f"{stamp(begin)}_{stamp(begin + timedelta(seconds=32))}"
            added = catalogued.add(f"S1A_IW_RAW__0SDV_{times}_050000_060000_{sent:04X}.SAFE", "L0_SLICE")
            for _ in range(random.choice((1, 1, 2))):  # Kafka may tell it twice
                producer.send(CATALOG_EVENT, added, added.key())
            producer.flush()
            sent += 1
        what = random.choice(VICTIMS)
        if what == "pod":
            killed[what] += kubelet.lose()
            time.sleep(0.2)
            continue
        time.sleep(random.uniform(0, LIVES[what]))
        processes[what].end(signal.SIGKILL)
        processes[what] = start(what)
        killed[what] += 1
    wait_until(lambda: Counter(each["state"] for each in jobs(engine)) == {"TERMINATED": COUNT}, 300, "all have ended")
    for process in processes.values():
        wait_until(process.ready, 60, "it is ready")
        assert process.end(signal.SIGTERM) == 0
    kubelet.stop.set()
    thread.join(30)

    ended = jobs(engine)
    for each in ended:
        errors, causes = errors_of(each["trigger"]), Counter(past["cause"] for past in each["past"])
        assert each["outcome"] == (Outcome.NOK if errors > RETRIES else Outcome.OK), each
        assert causes["PROCESSOR"] == min(errors, RETRIES), each["past"]
        assert causes["CLUSTER"] <= LOSSES and causes.keys() <= {"PROCESSOR", "CLUSTER"}
        assert [past["attempt"] for past in each["past"]] == [*range(each["attempt"])]
        assert all(past["reason"] for past in each["past"])
    good = {str(each["id"]): each["attempt"] for each in ended if each["outcome"] == Outcome.OK}
    told = [json.loads(text) for text in bus.read(CATALOG_JOB, len(good))]
    # Told again is told the same: by its id, who takes it knows it.
    by_id = {message["uid"]: message["keyObjectStorage"] for message in told}
    assert sorted(by_id.values()) == sorted(f"{job}-{attempt}.SAFE" for job, attempt in good.items())
    assert {(message["uid"], message["keyObjectStorage"]) for message in told} == set(by_id.items())
    listed = api_server.get("/apis/batch/v1/namespaces/production-s1/jobs")["items"]
    assert all(JOB_LABEL in each["metadata"]["labels"] for each in listed)
    names = Counter(
        (each["metadata"]["labels"][JOB_LABEL], each["metadata"]["labels"][ATTEMPT_LABEL]) for each in listed
    )
    assert max(names.values()) == 1
