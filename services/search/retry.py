"""Trying again what could not be understood: a product's catalogue job is made from its row and sent once more."""

from collections.abc import Sequence

from sqlalchemy import RowMapping

from refsys.services.common.bus import DeliveryError, Producer
from refsys.services.common.messages import CATALOG_JOB, CatalogJob
from refsys.services.search.database import unavailable


def send_again(producer: Producer, rows: Sequence[RowMapping]) -> None:
    """Send the catalogue jobs of INVALID products; they are on Kafka when this returns, else it raises 503."""
    try:
        for row in rows:
            job = job_of(row)
            producer.send(CATALOG_JOB, job, job.key())
        producer.flush()
    except DeliveryError as error:
        raise unavailable(f"not all jobs could be sent ({error})") from error


def job_of(row: RowMapping) -> CatalogJob:
    """The job that catalogued a product, made from its row."""
    return CatalogJob(
        mission_id=row["mission"],
        satellite_id=row["satellite"],
        key_object_storage=row["name"],
        storage_path=f"s3://{row['bucket']}/{row['key']}",
        product_family=row["family"],
        retry_counter=1,
        demand_type="OPERATOR_DEMAND",
        timeliness=row["timeliness"],
        additional_fields=row["additional_fields"],
        product_size_byte=row["size"],
        station_name=row["station"],
        checksums=row["checksums"],
        trace=row["trace"],
    )
