"""The `compression-filter` process: each `catalog-event` of a product that needs it becomes a compression job."""

from uuid import uuid5

from refsys.services.common import process, tracing
from refsys.services.common.bus import Consumer, Producer
from refsys.services.common.families import ZIP
from refsys.services.common.messages import CATALOG_EVENT, CatalogEvent, CompressionJob, Direction
from refsys.services.common.settings import KafkaSettings, load
from refsys.services.compression.rules import rule_of, topic_of


def job_of(event: CatalogEvent) -> CompressionJob | None:
    """The job of a product, the same for the same event; None if the product needs none."""
    rule = rule_of(event.product_family, event.key_object_storage)
    if rule is None:
        return None
    packed = rule.direction is Direction.COMPRESS
    given = {name: getattr(event, name) for name in CatalogEvent.model_fields}
    given["uid"] = uuid5(event.product_id, f"compression-job {rule.direction}")
    return CompressionJob(
        **given,
        output_product_family=event.product_family + (ZIP if packed else ""),
        output_key_object_storage=rule.output_key(event.key_object_storage),
        compression_direction=rule.direction,
    )


def consume(running: process.Process, kafka: KafkaSettings) -> None:
    """Send a job for every event that needs one, until `running` is asked to stop."""
    producer = Producer(kafka, running.name)

    def handle(event: CatalogEvent) -> None:
        if job := job_of(event):
            producer.send(topic_of(event), job, job.key())
        else:
            tracing.nothing_done()

    Consumer(kafka, running, producer, topic=CATALOG_EVENT, model=CatalogEvent, handle=handle).run()


def main() -> None:
    """Filter until the process is asked to stop."""
    running = process.start("compression-filter")
    consume(running, load(KafkaSettings))
