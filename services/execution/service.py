"""The `execution` process: runs production jobs as Kubernetes Jobs, and ends their rows.

What happens is only a reason to look at a job: a message of Kafka, a change in the cluster, a word of the operators'
API, a start of this process, some minutes without any of them. What then has to be done, the controller sees.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy import Engine

from refsys.services.common import logs, process
from refsys.services.common.bus import Consumer, Producer, RejectedError
from refsys.services.common.database import autocommit, open_database
from refsys.services.common.messages import EXECUTION_JOB
from refsys.services.common.process import Process, run_together
from refsys.services.common.settings import DatabaseSettings, ExecutionSettings, KafkaSettings, S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.execution import ledger
from refsys.services.execution.controller import Controller
from refsys.services.execution.housekeeping import keep_clean
from refsys.services.execution.kubernetes import Cluster, ClusterError
from refsys.services.execution.manifests import JOB_LABEL
from refsys.services.execution.places import MISSIONS, NAMESPACES
from refsys.services.execution.tables import CHANNEL
from refsys.services.execution.work import Work
from refsys.services.production.order import Order

WORKERS = 4
PATIENCE_SECONDS = 1.0
ALL_AGAIN_SECONDS = 300.0
MEASURED_SECONDS = 60.0
PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0

RUNNING = Gauge("refsys_jobs_running", "Production jobs that run", ["mission"])
QUEUED = Gauge("refsys_jobs_queued_seconds", "Seconds that a job has waited to run, of the longest", ["mission"])

Json = dict[str, Any]
log = logs.get_logger()


@dataclass(frozen=True)
class Execution:
    """The threads of the process, over what they share."""

    running: Process
    engine: Engine
    cluster: Cluster
    controller: Controller
    work: Work

    def take(self, order: Order) -> None:
        """Handle a message: from here on, the row says that the job is to be run."""
        if not ledger.taken(self.engine, order.job_id, order.attempt):
            raise RejectedError(f"there is no job {order.job_id} in the database; submit it by ./refsys job submit")
        self.work.add(order.job_id)

    def settle(self) -> None:
        """Look at jobs until the process stops."""
        pauses: dict[UUID, float] = {}
        while not self.running.stop.is_set():
            job = self.work.take(PATIENCE_SECONDS)
            if job is None:
                continue
            try:
                later = self.controller.settle(job)
                pauses.pop(job, None)
                if later is not None:
                    self.work.add(job, later)
            except Exception as error:  # looked at again
                pauses[job] = min(pauses.get(job, 0.5) * 2, LONGEST_PAUSE_SECONDS)
                log.warning("job is looked at again", job=str(job), error=f"{type(error).__name__}: {error}")
                self.work.add(job, pauses[job])
            finally:
                self.work.done(job)

    def sweep(self) -> None:
        """Look at all jobs at the start, and every few minutes."""
        while True:
            self._trying(self._add_all)
            if self.running.stop.wait(ALL_AGAIN_SECONDS):
                return

    def _add_all(self) -> None:
        for job in ledger.running(self.engine):
            self.work.add(job)

    def measure(self) -> None:
        """Tell how long jobs wait to run, until the process stops."""
        while True:
            self._trying(self._measure)
            if self.running.stop.wait(MEASURED_SECONDS):
                return

    def _measure(self) -> None:
        found = ledger.queues(self.engine)
        for mission in MISSIONS:
            running, waited = found.get(mission, (0, 0.0))
            RUNNING.labels(mission).set(running)
            QUEUED.labels(mission).set(waited)

    def watch(self, path: str) -> None:
        """Look at the jobs of which something changes in the cluster."""
        while not self.running.stop.is_set():
            self._trying(lambda: self._watch(path))
            self.running.stop.wait(0.2)

    def _watch(self, path: str) -> None:
        listed = self.cluster.get(path, labelSelector=JOB_LABEL)
        if listed is None:
            raise ClusterError(f"the API server has no {path}")
        for each in listed["items"]:
            self._changed(each)
        version = listed["metadata"]["resourceVersion"]
        while not self.running.stop.is_set():
            for event in self.cluster.watch(path, JOB_LABEL, version):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._changed(event["object"])
                if self.running.stop.is_set():
                    return

    def _changed(self, thing: Json) -> None:
        self.work.add(UUID(thing["metadata"]["labels"][JOB_LABEL]))

    def listen(self) -> None:
        """Look at the jobs that operators want something of."""
        while not self.running.stop.is_set():
            self._trying(self._listen)

    def _listen(self) -> None:
        with autocommit(self.engine) as connection:
            driver: Any = connection.connection.driver_connection
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            try:
                self._add_all()  # what was said while nobody listened
                while not self.running.stop.is_set():
                    for said in driver.notifies(timeout=PATIENCE_SECONDS):
                        self.work.add(UUID(said.payload))
            finally:
                connection.invalidate()  # nobody else shall get the notifications

    def _trying(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # tried again
            log.warning("tried again", error=f"{type(error).__name__}: {error}")
            self.running.stop.wait(PAUSE_SECONDS)

    def run(self, consume: Callable[[], None]) -> None:
        """Run all threads until the process is asked to stop."""
        watchers = [self._watcher(path) for path in watched()]
        workers: Sequence[Callable[[], None]] = [self.settle] * WORKERS
        for watcher in watchers:  # a watch waits for minutes: the process does not wait for it
            threading.Thread(target=watcher, daemon=True).start()
        run_together(self.running, consume, self.sweep, self.measure, self.listen, *workers)

    def _watcher(self, path: str) -> Callable[[], None]:
        return lambda: self.watch(path)


def watched() -> list[str]:
    """Return the lists that are watched."""
    namespaces = NAMESPACES.values()
    return [
        path
        for namespace in namespaces
        for path in (f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods")
    ]


def main() -> None:
    """Run jobs until the process is asked to stop."""
    database, kafka, s3, settings = (
        load(DatabaseSettings),
        load(KafkaSettings),
        load(S3Settings),
        load(ExecutionSettings),
    )
    running = process.start("execution")
    engine = open_database(database, running.name, pool_size=WORKERS + 4)
    cluster = Cluster(str(settings.api_url).rstrip("/"), settings.api_token_file, settings.api_ca_file)
    store, producer = ObjectStore(s3), Producer(kafka, running.name)
    controller = Controller(engine, store, Producer(kafka, running.name), cluster, settings.images)
    execution = Execution(running, engine, cluster, controller, Work())
    consumer = Consumer(
        kafka, running, producer, topic=EXECUTION_JOB, model=Order, handle=execution.take, buffer_kibibytes=4096
    )
    keep_clean(store, running.stop)
    execution.run(consumer.run)
    cluster.close()
    engine.dispose()
