"""The `kafka-lag` process: how far consumer groups are behind, in the names of Kafka's usual exporter."""

from functools import partial

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
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

Place = tuple[str, int]
"""Topic and partition."""


def main() -> None:
    """Ask Kafka until asked to stop."""
    kafka = load(KafkaSettings)
    running = process.start(NAME, traced=False)
    figures = Figures(Source("kafka", SECONDS, partial(read, AdminClient(kafka_options(kafka, NAME)))))
    REGISTRY.register(figures)
    figures.keep(running)


def read(admin: AdminClient) -> list[Metric]:
    """Return lag and offsets of all groups, and how many members each has.

    A partition that a group has committed nothing of has no lag: nobody knows where the group would begin.
    """
    listed = admin.list_consumer_groups(request_timeout=TIMEOUT_SECONDS).result()
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
    found = asked[group].result().topic_partitions or ()
    return {(each.topic, each.partition): each.offset for each in found if each.error is None and each.offset >= 0}


def _ends(admin: AdminClient, places: set[Place]) -> dict[Place, int]:
    if not places:
        return {}
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, partition): latest for topic, partition in places}
    found = admin.list_offsets(wanted, request_timeout=TIMEOUT_SECONDS)
    # A topic that is gone has no end.
    return {
        (place.topic, place.partition): future.result().offset
        for place, future in found.items()
        if future.exception() is None
    }


def _members(admin: AdminClient, groups: list[str]) -> Metric:
    members = GaugeMetricFamily("kafka_consumergroup_members", "Members of a consumer group", labels=["consumergroup"])
    if groups:
        for group, future in admin.describe_consumer_groups(groups, request_timeout=TIMEOUT_SECONDS).items():
            members.add_metric([group], len(future.result().members))
    return members
