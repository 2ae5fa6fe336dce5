"""The `kafka-lag` process: how far consumer groups are behind, in the names of Kafka's usual exporter."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric

from refsys.services.common import process
from refsys.services.common.kafka import kafka_options
from refsys.services.common.settings import KafkaSettings, load
from refsys.services.exporters.figures import Figures, Source

NAME = "kafka-lag"
SECONDS = 15.0
TIMEOUT_SECONDS = 10.0
WAIT_SECONDS = 15.0

GONE = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
"""A topic or partition that was removed has no end; what it said of others is no answer."""

Place = tuple[str, int]
"""Topic and partition."""


def main() -> None:
    """Ask Kafka until asked to stop."""
    kafka = load(KafkaSettings)
    running = process.start(NAME, traced=False)
    figures = Figures(Source("kafka", SECONDS, Asked(kafka_options(kafka, NAME)).read))
    REGISTRY.register(figures)
    figures.keep(running)


class Asked:
    """Kafka, asked by one client for as long as it gets answers: one that once got none may never get any again."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Connect when first asked."""
        self._options = dict(options)
        self._admin: AdminClient | None = None

    def read(self) -> list[Metric]:
        """See `read`."""
        admin, self._admin = self._admin or AdminClient(self._options), None
        found = read(admin)
        self._admin = admin
        return found


def read(admin: AdminClient) -> list[Metric]:
    """Return lag and offsets of all groups, and how many members each has.

    A partition that a group has committed nothing of has no lag: nobody knows where the group would begin.

    Raises:
        KafkaException, TimeoutError: there is no answer. The client's own time limit does not hold while a broker
            restarts.
    """
    listed = admin.list_consumer_groups(request_timeout=TIMEOUT_SECONDS).result(WAIT_SECONDS)
    if listed.errors:
        raise KafkaException(listed.errors[0])
    groups = sorted(group.group_id for group in listed.valid or ())
    committed = {group: _committed(admin, group) for group in groups}
    ends = _ends(admin, {place for offsets in committed.values() for place in offsets})
    lag = GaugeMetricFamily(
        "kafka_consumergroup_lag",
        "Messages that a consumer group has not handled yet",
        labels=["consumergroup", "topic", "partition"],
    )
    end = GaugeMetricFamily(
        "kafka_topic_partition_current_offset", "Offset of the next message", labels=["topic", "partition"]
    )
    for (topic, partition), offset in sorted(ends.items()):
        end.add_metric([topic, str(partition)], offset)
    for group, offsets in committed.items():
        for (topic, partition), offset in sorted(offsets.items()):
            if (topic, partition) in ends:
                behind = max(0, ends[topic, partition] - offset)
                lag.add_metric([group, topic, str(partition)], behind)
    return [lag, end, _members(admin, groups)]


def _committed(admin: AdminClient, group: str) -> dict[Place, int]:
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=TIMEOUT_SECONDS)
    found = asked[group].result(WAIT_SECONDS).topic_partitions or ()
    return {(each.topic, each.partition): each.offset for each in found if each.error is None and each.offset >= 0}


def _ends(admin: AdminClient, places: set[Place]) -> dict[Place, int]:
    if not places:
        return {}
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, partition): latest for topic, partition in places}
    found = admin.list_offsets(wanted, request_timeout=TIMEOUT_SECONDS)
    return {
        (place.topic, place.partition): future.result(WAIT_SECONDS).offset
        for place, future in found.items()
        if not _is_gone(future.exception(WAIT_SECONDS))
    }


def _is_gone(error: BaseException | None) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in GONE


def _members(admin: AdminClient, groups: list[str]) -> Metric:
    members = GaugeMetricFamily("kafka_consumergroup_members", "Members of a consumer group", labels=["consumergroup"])
    if groups:
        for group, future in admin.describe_consumer_groups(groups, request_timeout=TIMEOUT_SECONDS).items():
            members.add_metric([group], len(future.result(WAIT_SECONDS).members))
    return members
