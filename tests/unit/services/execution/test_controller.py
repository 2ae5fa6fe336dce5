"""What execution does with a job in each state, without servers; tests/services has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.means.memory_store import MemoryObjects
from tests.unit.services.execution.test_jobs import order as order_of

from refsys.services.common.families import BUCKETS
from refsys.services.common.messages import utc_now
from refsys.services.execution import controller, manifests, result
from refsys.services.execution.controller import ATTEMPTS, Controller
from refsys.services.execution.kubernetes import ConflictError, RefusedError
from refsys.services.execution.result import Product, Result
from refsys.services.execution.tables import Phase
from refsys.services.production.order import Order
from refsys.services.production.states import Cause, Outcome

Json = dict[str, Any]
IMAGES = {"level0": f"registry/refsys/level0@sha256:{'a' * 64}"}
PODS, JOBS = "/api/v1/namespaces/production-s1/pods", "/apis/batch/v1/namespaces/production-s1/jobs"
TEMPLATE = {"spec": {"containers": [{"name": "jobs-s1", "volumeMounts": []}], "volumes": []}}


class Objects:
    """An API server's objects by their paths."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.refusal = ""

    def get(self, path: str, **query: str) -> Json | None:
        if path.endswith(manifests.TEMPLATE):
            return {"template": TEMPLATE}
        if not query:
            return self.objects.get(path)
        name, _, value = query["labelSelector"].partition("=")
        below = [thing for place, thing in self.objects.items() if place.startswith(f"{path}/")]
        return {"items": [each for each in below if each["metadata"]["labels"].get(name) == value]}

    def create(self, path: str, body: Json, **query: str) -> Json:
        if query:
            if self.refusal:
                raise RefusedError(self.refusal)
            return body
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise ConflictError("it is there")
        body["metadata"]["uid"] = place
        self.objects[place] = body
        return body

    def merge(self, path: str, body: Json) -> Json:
        self.objects[path]["spec"] |= body["spec"]
        return self.objects[path]

    def delete(self, path: str) -> None:
        self.objects.pop(path, None)


class Rows:
    """The table of jobs, as `ledger` shows and changes it."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Json] = {}

    def find(self, _: object, job: UUID) -> Json | None:
        return self.rows.get(job)

    @contextmanager
    def ending(self, _: object, job: UUID, attempt: int) -> Iterator[Json | None]:
        row = self.rows[job]
        yield row if (row["state"], row["attempt"]) == ("GENERATING", attempt) else None

    @staticmethod
    def end(row: Json, _: UUID, outcome: Outcome, reason: str) -> None:
        row |= {"state": "TERMINATED", "outcome": outcome, "reason": reason}

    @staticmethod
    def keep_result(row: Json, _: UUID, products: list[str], measures: object) -> None:
        row |= {"products": products, "measures": measures}

    @staticmethod
    def again(row: Json, _: UUID, attempt: int, cause: Cause, reason: str) -> None:
        row["past"].append({"attempt": attempt, "cause": cause, "reason": reason})
        row |= {"attempt": attempt + 1, "reason": f"another attempt: {reason}"}

    def place(self, _: object, job: UUID, *told: object) -> None:
        self.rows[job]["place"] = told


class Sent:
    """What was sent to Kafka."""

    def __init__(self) -> None:
        self.products: list[str] = []

    def send(self, topic: str, message: Any, key: str) -> None:
        assert (topic, key) == ("catalog-job", message.key_object_storage)
        self.products.append(key)

    def flush(self) -> None:
        """All of it is there."""


class World:
    """A controller over these."""

    def __init__(self, folder: Path) -> None:
        self.cluster, self.table, self.sent, self.store = Objects(), Rows(), Sent(), MemoryObjects(folder)
        parts: tuple[Any, ...] = (None, self.store, self.sent, self.cluster, IMAGES)
        self.controller = Controller(*parts)

    def job(self, **more: Any) -> Order:
        order = order_of(**more)
        row = {"id": order.job_id, "mission": order.mission, "state": "GENERATING", "attempt": 0, "hold": None}
        row |= {"chain": order.chain, "past": []}
        row |= {"outcome": None, "reason": "", "order": order.model_dump(mode="json", by_alias=True)}
        self.table.rows[order.job_id] = row
        return order

    def settle(self, order: Order) -> Json:
        self.controller.settle(order.job_id)
        return self.table.rows[order.job_id]

    def there(self, order: Order, attempt: int = 0) -> Json | None:
        return self.cluster.objects.get(f"{JOBS}/{manifests.name_of(order.job_id, attempt)}")

    def status(self, order: Order, attempt: int, ends: list[str], **pod: Any) -> None:
        """What the cluster says of an attempt."""
        job, name = self.there(order, attempt), manifests.name_of(order.job_id, attempt)
        assert job
        job["status"] = {"conditions": [{"type": each, "status": "True"} for each in ends]}
        metadata = {"name": name, "labels": {"job-name": name}, "creationTimestamp": "1"}
        self.cluster.objects[f"{PODS}/{name}"] = {"metadata": metadata, "spec": {"nodeName": "w1"}, "status": pod}

    def ends(self, order: Order, attempt: int, outcome: Outcome, *names: str, killed: bool = False) -> None:
        path = f"s3://{BUCKETS['L0_SEGMENT']}/"
        products = [
            Product(
                name=each, product_type="X", family="L0_SEGMENT", storage_path=path + each, size=1, stored=utc_now()
            )
            for each in names
        ]
        ended = Result(
            job_id=order.job_id, attempt=attempt, outcome=outcome, reason="because", products=products,
            killed=killed, started=utc_now(), ended=utc_now(),
        )  # fmt: skip
        result.write(self.store, ended)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(controller, "ledger", world.table)
    return world


def disrupted(reason: str) -> Json:
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


def runner(code: int) -> Json:
    return {"containerStatuses": [{"name": "jobs-s1", "state": {"terminated": {"exitCode": code, "reason": "Error"}}}]}


def test_a_job_is_made_with_its_order_and_ends_with_the_runner_s_result(world: World) -> None:
    order = world.job()
    world.settle(order)
    job = world.there(order)
    assert job and not job["spec"]["suspend"]
    name = manifests.name_of(order.job_id, 0)
    kept = world.cluster.objects[f"/api/v1/namespaces/production-s1/configmaps/{name}"]
    assert Order.model_validate_json(kept["data"]["order.json"]) == order
    world.status(order, 0, [], phase="Running")
    assert world.settle(order)["place"] == (Phase.RUNNING, "", "w1")
    world.ends(order, 0, Outcome.OK, "a", "b")
    assert world.settle(order)["state"] == "GENERATING"  # its runner does not say so yet
    world.status(order, 0, [], phase="Running", **runner(0))
    row = world.settle(order)
    assert (row["state"], row["outcome"], row["reason"]) == ("TERMINATED", "OK", "because")
    world.settle(order)
    assert world.sent.products == ["a", "b"]
    assert world.there(order)  # to be looked at


def test_attempts_are_repeated_up_to_a_limit_and_an_old_one_publishes_nothing(world: World) -> None:
    order = world.job()
    world.settle(order)
    world.status(order, 0, ["FailureTarget"], **disrupted("PreemptionByScheduler"))
    assert (world.settle(order)["attempt"], world.there(order)) == (1, None)
    for attempt in range(1, ATTEMPTS + 1):  # making room for others is not counted
        world.settle(order)
        world.status(order, attempt, ["Failed"], **disrupted("DeletionByTaintManager"))
        row = world.settle(order)
    assert (row["state"], row["outcome"], row["attempt"]) == ("TERMINATED", "NOK", ATTEMPTS)
    assert row["reason"] == f"its node was lost ({ATTEMPTS} attempts)"
    again = world.job()
    world.settle(again)
    world.status(again, 0, [], phase="Running", **runner(1))
    assert world.settle(again)["attempt"] == 1  # its runner failed, and nothing would come any more
    world.ends(again, 0, Outcome.OK, "late")
    world.settle(again)
    world.status(again, 1, [], phase="Running")
    assert world.settle(again)["state"] == "GENERATING"
    assert world.sent.products == []


def test_an_error_of_the_processor_s_own_is_tried_again_as_often_as_its_task_table_says(world: World) -> None:
    order = world.job(retries=2)
    for attempt, outcome in enumerate((Outcome.NOK, Outcome.TIMEOUT, Outcome.NOK)):
        world.settle(order)
        assert world.there(order, attempt)
        world.ends(order, attempt, outcome)
        world.status(order, attempt, [], phase="Running", **runner(0))
        row = world.settle(order)
    assert (row["state"], row["outcome"], row["attempt"]) == ("TERMINATED", "NOK", 2)
    assert row["reason"] == "because (3 attempts)"
    assert [(each["attempt"], each["cause"], each["reason"]) for each in row["past"]] == [
        (0, Cause.PROCESSOR, "because"),
        (1, Cause.PROCESSOR, "because"),
    ]
    late = world.job(retries=1)
    world.settle(late)
    world.status(late, 0, ["Failed"], phase="Failed", reason="DeadlineExceeded", message="too long")
    assert world.settle(late)["attempt"] == 1
    world.settle(late)
    world.ends(late, 1, Outcome.OK, "a")
    world.status(late, 1, [], phase="Running", **runner(0))
    assert world.settle(late)["outcome"] == "OK"
    once = world.job()
    world.settle(once)
    world.ends(once, 0, Outcome.NOK)
    world.status(once, 0, [], phase="Running", **runner(0))
    assert (world.settle(once)["state"], world.sent.products) == ("TERMINATED", ["a"])


def test_what_an_operator_begins_anew_has_all_its_attempts(world: World) -> None:
    order = world.job(retries=1)
    row = world.table.rows[order.job_id]
    row |= {"attempt": 3}
    row["past"] = [{"attempt": 0, "cause": Cause.PROCESSOR, "reason": "x"}] * 2
    row["past"].append({"attempt": 2, "cause": Cause.OPERATOR, "reason": "x"})
    world.settle(order)
    world.ends(order, 3, Outcome.NOK)
    world.status(order, 3, [], phase="Running", **runner(0))
    assert (world.settle(order)["attempt"], row["state"]) == (4, "GENERATING")


def test_a_job_that_vanished_ends_by_its_result_or_is_made_again(world: World) -> None:
    order, other = world.job(), world.job()
    world.ends(order, 0, Outcome.WARNING, "a")
    assert world.settle(order)["outcome"] == "WARNING"
    assert world.there(order) is None
    for _ in range(2):
        world.settle(other)
        world.cluster.delete(f"{JOBS}/{manifests.name_of(other.job_id, 0)}")
    world.settle(other)
    assert world.there(other)
    assert world.sent.products == ["a"]


def test_a_container_without_memory_is_named(world: World) -> None:
    order = world.job(memoryMib=64)
    world.settle(order)
    world.ends(order, 0, Outcome.NOK, killed=True)
    ended = {"name": "processor", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    world.status(order, 0, ["Failed"], containerStatuses=[ended])
    assert world.settle(order)["reason"] == "the processor took more memory than its limit of 64 MiB"


def test_held_jobs_wait_and_cancelled_ones_are_ended(world: World) -> None:
    order = world.job()
    world.settle(order)
    row = world.table.rows[order.job_id]
    row["hold"] = True
    world.settle(order)
    job = world.there(order)
    assert job and job["spec"]["suspend"]
    assert world.settle(order)["place"][0] is Phase.SUSPENDED
    row |= {"state": "TERMINATED", "outcome": Outcome.CANCELLED}
    world.settle(order)
    assert world.there(order) is None


@pytest.mark.parametrize(
    ("changes", "refusal", "reason"),
    [
        ({"processor": {"image": "evil", "name": "x"}}, "", "processor image 'evil' is neither one"),
        ({"mission": "S9"}, "", "there are no jobs of mission 'S9'"),
        ({}, "is forbidden: refsys-signed-images", "the cluster refuses its pod: is forbidden: refsys-signed-images"),
    ],
)
def test_what_can_never_run_ends_with_the_reason(world: World, changes: Json, refusal: str, reason: str) -> None:
    world.cluster.refusal = refusal
    order = world.job(**changes)
    row = world.settle(order)
    assert (row["state"], row["outcome"]) == ("TERMINATED", "NOK")
    assert reason in row["reason"]
    assert not world.cluster.objects


def test_an_order_that_can_t_be_read_ends_and_a_full_quota_does_not(world: World) -> None:
    broken, waiting = world.job(), world.job()
    world.table.rows[broken.job_id]["order"] = {"jobId": "x"}
    assert world.settle(broken)["reason"].startswith("its order can't be read: jobId: ")
    world.cluster.refusal = "exceeded quota: less-urgent"
    world.settle(waiting)
    assert world.there(waiting)
    assert "quota" in world.settle(waiting)["place"][1]
