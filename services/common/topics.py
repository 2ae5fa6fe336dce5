"""The `topics` process: makes the topics, and the access rules of each process by its client certificate.

A process shows a certificate whose subject is `CN=<process>`, so its Kafka principal is `User:CN=<process>`.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
)
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.cimpl import NewTopic
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from refsys.services.common import logs
from refsys.services.common.application_buckets import PREFIX
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import (
    CATALOG_EVENT,
    CATALOG_JOB,
    COMPRESSION_EVENT,
    COMPRESSION_JOBS,
    ERROR_WARNING,
    EXECUTION_JOB,
    INGESTION_JOB,
    TOPICS,
)
from refsys.services.common.settings import ApplicationsSettings, KafkaSettings, load
from refsys.services.logs.templates import KEPT, LOGS, TRACES

PARTITIONS = 6
REPLICAS = 3
RETENTION_MS = 7 * 24 * 3600 * 1000
TIMEOUT_SECONDS = 30.0
PRINCIPAL = "User:CN="

log = logs.get_logger()


@dataclass(frozen=True)
class Access:
    """Topics that a process reads and writes.

    `groups` are its consumer groups, where not the one of its own name. `transactions` is its transactional id and a
    consumer group of the same name, for sending exactly once.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = field(default=(ERROR_WARNING,))
    groups: tuple[str, ...] = ()
    transactions: str | None = None
    lanes: bool = False
    """Whether it reads in several consumer groups, `<process>.<lane>` each."""
    describes: bool = False
    """Whether it may ask where all topics end and how far all groups are."""


ACCESS = {
    "ingestion-trigger": Access(writes=(INGESTION_JOB,)),
    "ingestion-worker": Access(reads=(INGESTION_JOB,), writes=(CATALOG_JOB, ERROR_WARNING), lanes=True),
    "catalogue": Access(reads=(CATALOG_JOB,), writes=(CATALOG_EVENT, ERROR_WARNING)),
    "metadata-search": Access(writes=(CATALOG_JOB,)),
    "lifecycle": Access(reads=(CATALOG_EVENT, COMPRESSION_EVENT), writes=(CATALOG_JOB, CATALOG_EVENT, ERROR_WARNING)),
    "reconcile": Access(writes=(CATALOG_JOB, CATALOG_EVENT)),
    "dlq": Access(reads=(ERROR_WARNING,), writes=TOPICS, transactions="dlq-restarts"),
    "compression-filter": Access(reads=(CATALOG_EVENT,), writes=(*COMPRESSION_JOBS, ERROR_WARNING)),
    "compression-worker": Access(
        reads=COMPRESSION_JOBS, writes=(*COMPRESSION_JOBS, COMPRESSION_EVENT, ERROR_WARNING), groups=COMPRESSION_JOBS
    ),
    "preparation": Access(reads=(CATALOG_EVENT,), writes=(EXECUTION_JOB, ERROR_WARNING)),
    "execution": Access(reads=(EXECUTION_JOB,), writes=(CATALOG_JOB, ERROR_WARNING)),
    "publisher": Access(reads=(CATALOG_EVENT, COMPRESSION_EVENT), groups=("publisher", "publisher-compression")),
    "log-collector": Access(writes=tuple(LOGS)),
    "log-indexer": Access(reads=tuple(KEPT), writes=()),
    "kpi": Access(reads=("logs-processing",), writes=()),
    "kafka-lag": Access(writes=(), describes=True),
    **{process: Access(writes=(TRACES,)) for process in ("prip", "cadip", "notifier", "ingestor")},
}


def main() -> None:
    """Make topics and access rules; what is there already stays as it is."""
    logs.configure("topics")
    admin = AdminClient(kafka_options(load(KafkaSettings), "topics"))
    brokers = _brokers(admin)
    own = load(ApplicationsSettings).topics
    _make_topics(admin, [*TOPICS, *KEPT, *own], min(REPLICAS, brokers))
    access = ACCESS | {name: Access(reads=(name,), writes=(name,)) for name in own}
    if _make_rules(admin, access):
        _remove_rules(admin, own)
    _remove_topics(admin, own)


@retry(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(180),
    wait=wait_fixed(3),
    reraise=True,
)
def _brokers(admin: AdminClient) -> int:
    return len(admin.list_topics(timeout=10).brokers)


def _make_topics(admin: AdminClient, names: Sequence[str], replicas: int) -> None:
    topics = [
        NewTopic(
            name,
            num_partitions=PARTITIONS,
            replication_factor=replicas,
            config={
                "retention.ms": str(RETENTION_MS),
                "min.insync.replicas": str(max(1, replicas - 1)),
                "compression.type": "producer",
            },
        )
        for name in names
    ]
    for name, future in admin.create_topics(topics, operation_timeout=TIMEOUT_SECONDS).items():
        made = _done(future, allowed=KafkaError.TOPIC_ALREADY_EXISTS)
        log.info("topic made" if made else "topic is there", topic=name)


def _make_rules(admin: AdminClient, all_access: Mapping[str, Access]) -> bool:
    for future in admin.create_acls(list(_rules(all_access))).values():
        if not _done(future, allowed=KafkaError.SECURITY_DISABLED):
            log.warning("this Kafka has no authorizer: no access rules made")
            return False
    log.info("access rules made", processes=list(all_access))
    return True


def _remove_topics(admin: AdminClient, kept: Sequence[str]) -> None:
    """Remove the topics of hosted applications that are no longer there."""
    others = [name for name in admin.list_topics(timeout=10).topics if name.startswith(PREFIX) and name not in kept]
    if others:
        for name, future in admin.delete_topics(others, operation_timeout=TIMEOUT_SECONDS).items():
            _done(future, allowed=KafkaError.UNKNOWN_TOPIC_OR_PART)
            log.info("topic removed with its application", topic=name)


def _remove_rules(admin: AdminClient, kept: Sequence[str]) -> None:
    """Remove the access rules of hosted applications that are no longer there."""
    own = f"{PRINCIPAL}{PREFIX}"
    known = {rule.principal for rule in admin.describe_acls(_rules_of(None)).result(TIMEOUT_SECONDS)}
    gone = sorted(name for name in known if name.startswith(own) and name.removeprefix(PRINCIPAL) not in kept)
    if gone:
        for future in admin.delete_acls([_rules_of(name) for name in gone]).values():
            future.result(TIMEOUT_SECONDS)
        log.info("access rules removed with their applications", principals=gone)


def _rules_of(principal: str | None) -> AclBindingFilter:
    # The library takes None for anything, and its types don't.
    anything: Any = None
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        principal or anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _rules(all_access: Mapping[str, Access]) -> Iterator[AclBinding]:
    for process, access in all_access.items():
        for topic in access.reads:
            yield _allow(process, ResourceType.TOPIC, topic, AclOperation.READ)
        # Who sends messages about products tells what it did to them.
        traces = (TRACES,) if set(access.writes) & set(TOPICS) else ()
        for topic in (*access.writes, *traces):
            yield _allow(process, ResourceType.TOPIC, topic, AclOperation.WRITE)
        for group in access.groups or ((process,) if access.reads else ()):
            yield _allow(process, ResourceType.GROUP, group, AclOperation.READ)
        if access.transactions:
            yield _allow(process, ResourceType.GROUP, access.transactions, AclOperation.READ)
            for operation in (AclOperation.WRITE, AclOperation.DESCRIBE):
                yield _allow(process, ResourceType.TRANSACTIONAL_ID, access.transactions, operation)
        if access.lanes:
            prefix = ResourcePatternType.PREFIXED
            yield _allow(process, ResourceType.GROUP, f"{process}.", AclOperation.READ, prefix)
        if access.describes:
            for kind in (ResourceType.TOPIC, ResourceType.GROUP):
                yield _allow(process, kind, "*", AclOperation.DESCRIBE)


def _allow(
    process: str,
    kind: ResourceType,
    name: str,
    operation: AclOperation,
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
) -> AclBinding:
    return AclBinding(kind, name, pattern, f"{PRINCIPAL}{process}", "*", operation, AclPermissionType.ALLOW)


def _done(future: "Future[Any]", allowed: int) -> bool:
    try:
        future.result(TIMEOUT_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == allowed:
            return False
        raise
    return True
