"""Brings the cluster where the table of jobs says it should be, one job at a time, from whatever state both are in.

Nothing is remembered between two looks at a job. The Job of an attempt has one name, its result is one object, the row
ends once: a process that was killed anywhere, or two of them, do the same as one.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from prometheus_client import Counter
from pydantic import ValidationError
from sqlalchemy import Engine, RowMapping

from refsys.services.common import logs, tracing
from refsys.services.common.bus import Producer
from refsys.services.common.messages import CATALOG_JOB, CatalogJob, Trace, iso, product_trace
from refsys.services.common.pod import pod_name
from refsys.services.common.store import ObjectStore
from refsys.services.execution import ledger, manifests, result
from refsys.services.execution.errors import JobError
from refsys.services.execution.kubernetes import Cluster, ClusterError, ConflictError, RefusedError
from refsys.services.execution.manifests import ATTEMPT_LABEL, JOB_LABEL
from refsys.services.execution.result import Product, Result
from refsys.services.execution.verdict import has_ended, is_over, killed, phase, runner_ended, verdict
from refsys.services.production.order import Order
from refsys.services.production.states import Cause, Outcome, State
from refsys.services.production.tables import tries

ATTEMPTS = 4
"""Of a job that the cluster lost; one that made room for others is not counted."""
FAILED = (Outcome.NOK, Outcome.TIMEOUT)
SOON_SECONDS = 1.0

ENDED = Counter("refsys_jobs_total", "Production jobs that ended, by chain", ["mission", "chain", "outcome"])
REPEATED = Counter("refsys_job_attempts_total", "Further attempts of jobs, and why", ["mission", "chain", "cause"])

Json = dict[str, Any]
log = logs.get_logger()


@dataclass(frozen=True)
class Controller:
    """Settles jobs; threads may share it, no two with the same job."""

    engine: Engine
    store: ObjectStore
    producer: Producer
    cluster: Cluster
    images: Mapping[str, str]
    _publishing: threading.Lock = field(default_factory=threading.Lock)
    """A flush tells of all that was sent: one thread must not take what is told to another."""

    def settle(self, job: UUID) -> float | None:
        """Do what has to be done for a job now; returns the seconds after which it has to be looked at in any case."""
        row = ledger.find(self.engine, job)
        if row is None:
            return None
        if row["state"] != State.GENERATING:
            self._end_what_must_not_run(row)
            return None
        attempt: int = row["attempt"]
        try:
            order = Order.model_validate(row["order"]).model_copy(update={"attempt": attempt})
            return self._run(row, order)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            self._end(row, Outcome.NOK, f"its order can't be read: {where}: {problem['msg']}")
        except JobError as error:
            self._end(row, error.outcome, str(error))
        return None

    def _run(self, row: RowMapping, order: Order) -> float | None:
        namespace = manifests.namespace_of(order.mission)
        found = self.cluster.get(_job_path(namespace, order))
        if found is None:
            if ended := result.read(self.store, order.job_id, order.attempt):
                return self._finish(row, order, ended, [])
            self._make(namespace, order, hold=bool(row["hold"]))
            return None
        if not has_ended(found) and bool(row["hold"]) != bool(found["spec"].get("suspend")):
            self.cluster.merge(_job_path(namespace, order), {"spec": {"suspend": bool(row["hold"])}})
            return SOON_SECONDS
        pods = self._pods(namespace, order)
        over = has_ended(found) or runner_ended(pods)
        if over and (ended := result.read(self.store, order.job_id, order.attempt)):
            return self._finish(row, order, ended, pods)
        if over and not found["spec"].get("suspend"):
            return self._judge(row, order, pods)
        self._keep_order(namespace, order, found)
        ledger.place(self.engine, order.job_id, *phase(found, pods))
        return None

    def _make(self, namespace: str, order: Order, *, hold: bool) -> None:
        template = self.cluster.get(f"/api/v1/namespaces/{namespace}/podtemplates/{manifests.TEMPLATE}")
        if template is None:
            raise ClusterError(f"namespace {namespace} has no PodTemplate {manifests.TEMPLATE}; run ./refsys up")
        body = manifests.job(order, template["template"], self.images, suspended=hold)
        self._try(namespace, body)
        try:
            made = self.cluster.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", body)
        except ConflictError:
            return  # made by another process a moment ago; its watch says so
        except RefusedError as error:
            raise JobError(f"the cluster refuses it: {error}") from None
        self._keep_order(namespace, order, made)
        log.info("job is in the cluster", job=str(order.job_id), attempt=order.attempt, namespace=namespace)

    def _try(self, namespace: str, job: Json) -> None:
        """Ask whether such a pod would be taken: of a Job's pod that is refused nobody would hear."""
        template = job["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "try-", **template["metadata"]}}
        try:
            self.cluster.create(f"/api/v1/namespaces/{namespace}/pods", pod | {"spec": template["spec"]}, dryRun="All")
        except RefusedError as error:
            said = str(error)
            if "cannot create resource" in said:
                raise  # of execution itself, and so of every job
            if "exceeded quota" not in said:
                raise JobError(f"the cluster refuses its pod: {said}") from None

    def _keep_order(self, namespace: str, order: Order, owner: Json) -> None:
        """Give a Job its order: its pod waits for it. Whoever made the Job may have been killed before."""
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        if "active" in owner.get("status", {}) and owner["status"].get("ready"):
            return
        try:
            self.cluster.create(path, manifests.order_map(order, owner))
        except ConflictError:
            return

    def _pods(self, namespace: str, order: Order) -> list[Json]:
        selector = f"job-name={manifests.name_of(order.job_id, order.attempt)}"
        listed = self.cluster.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
        return listed["items"] if listed else []

    def _judge(self, row: RowMapping, order: Order, pods: list[Json]) -> float | None:
        """Decide on an attempt that left no result."""
        found = verdict(pods)
        if not found.again:
            return self._failed(row, order, found.outcome, found.reason)
        cause = Cause.CLUSTER if found.counts else Cause.URGENT
        if found.counts and (count := tries(row["past"], cause) + 1) >= ATTEMPTS:
            self._end(row, found.outcome, f"{found.reason} ({count} attempts)")
            return None
        self._end_attempt(manifests.namespace_of(order.mission), order)
        return self._again(row, cause, found.reason)

    def _failed(self, row: RowMapping, order: Order, outcome: Outcome, reason: str) -> float | None:
        """End a job by an error of its own, or try it again as often as its task table allows."""
        failures = tries(row["past"], Cause.PROCESSOR)
        if failures < order.retries:
            self._end_attempt(manifests.namespace_of(order.mission), order)
            return self._again(row, Cause.PROCESSOR, reason)
        self._end(row, outcome, f"{reason} ({failures + 1} attempts)" if failures else reason)
        return None

    def _again(self, row: RowMapping, cause: Cause, reason: str) -> float:
        job, attempt = row["id"], row["attempt"]
        with ledger.ending(self.engine, job, attempt) as connection:
            if connection is not None:
                ledger.again(connection, job, attempt, cause, reason)
                REPEATED.labels(row["mission"], row["chain"], cause).inc()
                log.warning("another attempt", job=str(job), attempt=attempt + 1, cause=cause, reason=reason)
        return 0.0

    def _end_attempt(self, namespace: str, order: Order) -> None:
        """End what may still run of an attempt, as on a node that is lost; one that is over stays for a look at it."""
        found = self.cluster.get(_job_path(namespace, order))
        if found is not None and not is_over(found):
            self.cluster.delete(_job_path(namespace, order))

    def _finish(self, row: RowMapping, order: Order, ended: Result, pods: list[Json]) -> float | None:
        reason = (ended.killed and killed(pods, order.memory_mib)) or ended.reason
        if ended.outcome in FAILED and tries(row["past"], Cause.PROCESSOR) < order.retries:
            return self._again(row, Cause.PROCESSOR, reason)
        if ended.outcome in FAILED and (before := tries(row["past"], Cause.PROCESSOR)):
            reason = f"{reason} ({before + 1} attempts)"
        with ledger.ending(self.engine, order.job_id, order.attempt) as connection:
            if connection is None:
                return None
            with self._publishing:
                for product in ended.products:
                    self._publish(order, product)
                self.producer.flush()
            names = [product.name for product in ended.products]
            ledger.keep_result(connection, order.job_id, names, ended.measures)
            ledger.end(connection, order.job_id, ended.outcome, reason)
        self._ended(row, ended.outcome, reason)
        return None

    def _end(self, row: RowMapping, outcome: Outcome, reason: str) -> None:
        with ledger.ending(self.engine, row["id"], row["attempt"]) as connection:
            if connection is None:
                return
            ledger.end(connection, row["id"], outcome, reason)
        self._ended(row, outcome, reason)

    @staticmethod
    def _ended(row: RowMapping, outcome: Outcome, reason: str) -> None:
        ENDED.labels(row["mission"], row["chain"], outcome).inc()
        log.info("job is over", job=str(row["id"]), outcome=outcome, reason=reason)

    def _publish(self, order: Order, product: Product) -> None:
        message = CatalogJob(
            uid=uuid5(order.job_id, product.name),
            mission_id=order.mission,
            satellite_id=order.satellite,
            key_object_storage=product.name,
            storage_path=product.storage_path,
            product_family=product.family,
            pod_name=pod_name(),
            timeliness=order.timeliness,
            product_size_byte=product.size,
            oqc_flag=product.oqc_flag,
            station_name="",
            checksums=product.checksums,
            additional_fields={"t0PdgsDate": iso(order.t0_pdgs_date)} if order.t0_pdgs_date else {},
            trace=Trace(stored=product.stored),
        )
        with tracing.beginning("produce", product_trace(product.name), product=product.name, job=str(order.job_id)):
            self.producer.send(CATALOG_JOB, message, message.key())

    def _end_what_must_not_run(self, row: RowMapping) -> None:
        """End attempts that nobody waits for; one that told its result ends by itself, and its logs are read."""
        try:
            namespace = manifests.namespace_of(row["mission"])
        except JobError:
            return
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        listed = self.cluster.get(path, labelSelector=f"{JOB_LABEL}={row['id']}")
        for each in listed["items"] if listed else ():
            own = each["metadata"]["labels"][ATTEMPT_LABEL] == str(row["attempt"])
            told = own and row["state"] == State.TERMINATED and row["outcome"] != Outcome.CANCELLED
            if not told and not has_ended(each):
                self.cluster.delete(f"{path}/{each['metadata']['name']}")
                log.info("a job that is over is ended in the cluster", job=str(row["id"]))


def _job_path(namespace: str, order: Order) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs/{manifests.name_of(order.job_id, order.attempt)}"
