"""Execution on a real API server, Kafka, PostgreSQL and S3; the test is the kubelet."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, text
from tests.plugin.api_server import Cluster as ApiServer
from tests.plugin.api_server import running as running_api_server
from tests.services.conftest import Bus, wait_until

from refsys.services.common.bus import Consumer, Producer
from refsys.services.common.families import BUCKETS
from refsys.services.common.messages import CATALOG_JOB, ERROR_WARNING, EXECUTION_JOB, CatalogJob, utc_now
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.execution import ledger, manifests, result
from refsys.services.execution.controller import ATTEMPTS, Controller
from refsys.services.execution.kubernetes import Cluster
from refsys.services.execution.places import MISSIONS
from refsys.services.execution.result import Product, Result
from refsys.services.execution.service import Execution
from refsys.services.execution.work import Work
from refsys.services.jobs.control import control
from refsys.services.production.drmaa import Action
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome
from refsys.services.production.tables import Job

pytestmark = pytest.mark.long  # the API server alone takes half a minute to start

REGISTRY = "registry.example.org:5000/refsys"
IMAGES = {"level0": f"{REGISTRY}/level0@sha256:{'a' * 64}"}
NAME = "S1A_IW_RAW__0SDV_20171213T121623_20171213T121656_019684_021735_C6DB.SAFE"
TEMPLATE = {
    "metadata": {"labels": {"app.kubernetes.io/name": "jobs-s1"}},
    "spec": {
        "automountServiceAccountToken": False,
        "containers": [{"name": "runner", "image": f"{REGISTRY}/services@sha256:{'b' * 64}", "volumeMounts": []}],
        "volumes": [{"name": name, "emptyDir": {}} for name in ("work", "tasks")],
    },
}
Json = dict[str, Any]


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_api_server(tmp_path_factory.mktemp("api-server")) as server:
        for name in (*(name for _, name in manifests.PRIORITY_CLASSES), manifests.LOWEST_CLASS):
            body = {"metadata": {"name": name}, "value": -1}
            server.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body)
        for mission in MISSIONS:
            namespace = manifests.namespace_of(mission)
            server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            template = {"metadata": {"name": manifests.TEMPLATE}, "template": TEMPLATE}
            server.request("POST", f"/api/v1/namespaces/{namespace}/podtemplates", template)
        (server.folder / "token").write_text(server.token)
        yield server


class World:
    """What a test sees and does: rows, messages, and pods as the kubelet has them."""

    def __init__(
        self,
        engine: Engine,
        store: ObjectStore,
        api: ApiServer,
        kafka: Callable[[str], KafkaSettings],
        process: Callable[[str], Process],
    ) -> None:
        self.engine, self.store, self.api, self.process = engine, store, api, process
        self.kafka, self.preparation = kafka("execution"), Producer(kafka("admin"), "tests")
        self.producer = Producer(self.kafka, "execution")

    @contextmanager
    def execution(self) -> Iterator[None]:
        """The process, until the end of the context."""
        running = self.process("execution")
        url = f"https://127.0.0.1:{self.api.port}"
        cluster = Cluster(url, self.api.folder / "token", self.api.folder / "server.crt")
        controller = Controller(self.engine, self.store, self.producer, cluster, IMAGES)
        execution = Execution(running, self.engine, cluster, controller, Work())
        consumer = Consumer(self.kafka, running, self.producer, topic=EXECUTION_JOB, model=Order, handle=execution.take)
        thread = threading.Thread(target=execution.run, args=(consumer.run,))
        thread.start()
        try:
            yield
        finally:
            running.stop.set()
            thread.join(30)
            assert not thread.is_alive()

    def order(self, **more: Any) -> Order:
        """A job in the database, as preparation leaves it before Kafka has it."""
        order = Order.model_validate(
            {
                "jobId": uuid4(),
                "chain": "s1-l0",
                "taskTable": "S1_L0",
                "mission": "S1",
                "satellite": "S1A",
                "timeliness": "NRT",
                "priority": 100,
                "processor": {"image": "level0", "name": "level0"},
                "tasks": [{"name": "Level0", "command": ["level0"]}],
                "outputs": [{"productType": "IW_RAW__0S", "family": "L0_SLICE", "pattern": r"S1.*\.SAFE"}],
                "memoryMib": 100,
                "cpus": 0.5,
                "t0PdgsDate": utc_now(),
            }
            | more
        )
        row = {
            "id": order.job_id,
            "trigger": str(order.job_id),
            "facts": {},
            "start_time": utc_now(),
            "stop_time": utc_now(),
            "state": "DISPATCHING",
            "generation": "READY",
            "order": order.model_dump(mode="json", by_alias=True),
        }
        row |= {
            name: getattr(order, name)
            for name in ("chain", "task_table", "mission", "satellite", "timeliness", "priority")
        }
        with self.engine.begin() as connection:
            connection.execute(insert(Job).values(row))
        return order

    def submit(self, **more: Any) -> Order:
        order = self.order(**more)
        self.send(order)
        return order

    def send(self, order: Order) -> None:
        self.preparation.send(EXECUTION_JOB, order, order.key())
        self.preparation.flush()

    def row(self, order: Order) -> Json:
        found = ledger.find(self.engine, order.job_id)
        assert found is not None
        return dict(found)

    def until(self, order: Order, **values: Any) -> None:
        def same() -> bool:
            row = self.row(order)
            return all(row[name] == value for name, value in values.items())

        try:
            wait_until(same)
        except AssertionError:
            row = self.row(order)
            raise AssertionError({name: row[name] for name in (*values, "reason", "detail")}) from None

    def job(self, order: Order, attempt: int = 0) -> Json | None:
        found: Json | None = self.api.get(self._path(order, attempt))
        return found

    def _path(self, order: Order, attempt: int) -> str:
        namespace = manifests.namespace_of(order.mission)
        return f"/apis/batch/v1/namespaces/{namespace}/jobs/{manifests.name_of(order.job_id, attempt)}"

    def remove(self, order: Order, attempt: int = 0) -> None:
        self.api.request("DELETE", f"{self._path(order, attempt)}?propagationPolicy=Background")
        wait_until(lambda: self.job(order, attempt) is None)

    def pods(self, order: Order, attempt: int = 0) -> list[Json]:
        namespace = manifests.namespace_of(order.mission)
        selector = f"job-name={manifests.name_of(order.job_id, attempt)}"
        pods: list[Json] = self.api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")["items"]
        return pods

    def pod(self, order: Order, attempt: int = 0) -> Json:
        """The pod of the Job that is there now, when there is one; those of Jobs before it may be ending still."""
        found: list[Json] = []

        def there() -> bool:
            job = self.job(order, attempt)
            owner = job and job["metadata"]["uid"]
            found[:] = [
                each
                for each in self.pods(order, attempt)
                if owner in [reference["uid"] for reference in each["metadata"].get("ownerReferences", ())]
                and not each["metadata"].get("deletionTimestamp")
            ]
            return bool(found)

        wait_until(there)
        return found[0]

    def status(self, order: Order, status: Json, attempt: int = 0) -> None:
        """What the kubelet says of the pod of an attempt."""
        pod = self.pod(order, attempt)
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if status.get("phase") == "Running" and not pod["spec"].get("nodeName"):
            binding = {"metadata": {"name": metadata["name"]}, "target": {"kind": "Node", "name": "w1"}}
            self.api.request("POST", f"{path}/binding", binding)
        self.api.merge(f"{path}/status", {"status": status})

    def ends(self, order: Order, outcome: Outcome = Outcome.OK, attempt: int = 0, **more: Any) -> None:
        """What the runner does last: it keeps the result."""
        product = Product(
            name=NAME,
            product_type="IW_RAW__0S",
            family="L0_SLICE",
            storage_path=f"s3://{BUCKETS['L0_SLICE']}/{NAME}/",
            size=7,
            stored=utc_now(),
        )
        values = {"reason": "made 1 product", "products": [product]} | more
        ended = Result(
            job_id=order.job_id, attempt=attempt, outcome=outcome, started=utc_now(), ended=utc_now(), **values
        )
        result.write(self.store, ended)


RUNNING = {"phase": "Running", "startTime": "2026-11-22T12:00:00Z"}
RUNNER_DONE = RUNNING | {
    "containerStatuses": [
        {"name": "runner", "image": "", "imageID": "", "ready": False, "restartCount": 0,
         "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
    ]
}  # fmt: skip


def disrupted(reason: str) -> Json:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": ""}
    return {"phase": "Failed", "conditions": [condition]}


@pytest.fixture
def world(
    engine: Engine,
    store: ObjectStore,
    api_server: ApiServer,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
) -> World:
    return World(engine, store, api_server, kafka_settings, new_process)


def test_a_job_runs_and_its_products_are_published_once(world: World, bus: Bus) -> None:
    with world.execution():
        order = world.submit()
        pod = world.pod(order)
        assert [each["name"] for each in pod["spec"]["containers"]] == ["runner", "processor"]
        processor = pod["spec"]["containers"][1]
        assert processor["image"] == IMAGES["level0"]
        assert processor["resources"]["limits"] == {"memory": "100Mi"}
        assert pod["spec"]["priorityClassName"] == "refsys-production-urgent"
        assert pod["spec"]["activeDeadlineSeconds"] > order.total_timeout_seconds
        path = f"/api/v1/namespaces/production-s1/configmaps/{manifests.name_of(order.job_id, 0)}"
        wait_until(lambda: world.api.get(path) is not None)
        assert Order.model_validate_json(world.api.get(path)["data"]["order.json"]) == order
        world.status(order, RUNNING)
        world.until(order, state="GENERATING", generation="SENT", phase="RUNNING", node="w1")
        world.send(order)  # once more
        world.ends(order)
        # The runner is done: nobody waits for the cluster to say that the Job is.
        world.status(order, RUNNER_DONE)
        world.until(order, state="TERMINATED", generation="END", outcome="OK", reason="made 1 product", attempt=0)
        world.send(order)
        world.status(order, {"phase": "Succeeded"})
    [told] = bus.read(CATALOG_JOB, 1)
    job = CatalogJob.model_validate_json(told)
    assert (job.key_object_storage, job.storage_path[-1], job.timeliness) == (NAME, "/", "NRT")
    assert job.additional_fields.keys() == {"t0PdgsDate"}
    assert bus.read(ERROR_WARNING, 0) == []


def test_only_the_cluster_s_faults_are_tried_again(world: World) -> None:
    with world.execution():
        order = world.submit(priority=900)
        world.status(order, disrupted("PreemptionByScheduler"))
        world.until(order, attempt=1, state="GENERATING")
        assert "more urgent" in world.row(order)["reason"]
        losses = ("DeletionByTaintManager", "EvictionByEvictionAPI", "TerminationByKubelet")
        for attempt, reason in enumerate(losses, 1):
            world.status(order, disrupted(reason), attempt)
            world.until(order, attempt=attempt + 1, state="GENERATING")
        assert ATTEMPTS == 4
        world.status(order, {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource"}, 4)
        world.until(order, state="TERMINATED", outcome="NOK", attempt=4)
        assert [each["cause"] for each in world.row(order)["past"]] == ["URGENT", *["CLUSTER"] * 3]
        assert world.row(order)["reason"] == "its node put it out: The node was low on resource (4 attempts)"

        too_much = world.submit()
        said = 'Usage of EmptyDir volume "work" exceeds the limit "1Gi".'
        world.status(too_much, {"phase": "Failed", "reason": "Evicted", "message": said})
        world.until(too_much, state="TERMINATED", outcome="NOK", attempt=0)
        late = world.submit()
        world.status(late, {"phase": "Failed", "reason": "DeadlineExceeded", "message": "active on the node too long"})
        world.until(late, state="TERMINATED", outcome="TIMEOUT", attempt=0)
        hungry = world.submit()
        world.pod(hungry)
        world.ends(hungry, Outcome.NOK, reason="ended from outside", products=[], killed=True)
        container = {"name": "processor", "image": "", "imageID": "", "ready": False, "restartCount": 0}
        ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        world.status(hungry, {"phase": "Failed", "containerStatuses": [container | {"state": ended}]})
        world.until(hungry, state="TERMINATED", outcome="NOK", attempt=0)
        assert world.row(hungry)["reason"] == "the processor took more memory than its limit of 100 MiB"
        unknown = world.submit(processor={"image": "docker.io/evil:latest", "name": "evil"})
        world.until(unknown, state="TERMINATED", outcome="NOK")
        assert "docker.io/evil:latest" in world.row(unknown)["reason"] and world.job(unknown) is None


def test_what_happens_without_the_process_is_made_good_once(world: World, bus: Bus) -> None:
    with world.execution():
        ended, vanished, lost, runs = (world.submit() for _ in range(4))
        for each in (ended, vanished, lost, runs):
            world.pod(each)
    world.ends(ended)
    world.status(ended, {"phase": "Succeeded"})
    world.ends(vanished)
    world.remove(vanished)
    world.remove(lost)
    before = world.job(runs)
    with world.execution():
        for each in (ended, vanished):
            world.until(each, state="TERMINATED", outcome="OK", attempt=0)
        world.pod(lost)  # made again
        world.until(runs, state="GENERATING", attempt=0)
        now = world.job(runs)
        assert before and now and before["metadata"]["uid"] == now["metadata"]["uid"]
        world.remove(runs)
        world.pod(runs)  # a Job that vanishes while it is looked at is made again at once
    assert len(bus.read(CATALOG_JOB, 2)) == 2


def test_operators_hold_release_terminate_and_restart(world: World) -> None:
    with world.execution():
        order = world.submit()
        world.pod(order)
        world.until(order, phase="QUEUED")
        control(world.engine, order.job_id, Action.HOLD, "anna")
        world.until(order, phase="SUSPENDED")
        wait_until(lambda: not [p for p in world.pods(order) if not p["metadata"].get("deletionTimestamp")])
        control(world.engine, order.job_id, Action.RELEASE, "anna")
        world.pod(order)
        world.until(order, phase="QUEUED")
        control(world.engine, order.job_id, Action.TERMINATE, "anna")
        wait_until(lambda: world.job(order) is None)
        world.until(order, outcome="CANCELLED")
        control(world.engine, order.job_id, Action.RESTART, "anna")
        world.send(Order.model_validate(world.row(order)["order"]))
        wait_until(lambda: world.job(order, 1) is not None)
        world.until(order, state="GENERATING", attempt=1)


def test_a_message_without_a_job_goes_to_the_dead_letters(world: World, bus: Bus) -> None:
    order = world.order()
    with world.engine.begin() as connection:
        connection.execute(text("DELETE FROM production.job"))
    with world.execution():
        world.send(order)
        [told] = bus.read(ERROR_WARNING, 1)
    assert f"there is no job {order.job_id}" in told
    assert UUID(str(order.job_id))
