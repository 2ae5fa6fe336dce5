"""All dashboards."""

from refsys.monitoring.dashboards.chain import CATALOGUE, DISTRIBUTION, INGESTION, PROCESSING
from refsys.monitoring.dashboards.foundation import CLUSTER, KAFKA, NODES, POSTGRESQL
from refsys.monitoring.dashboards.keeping import FINOPS, KPIS, SECURITY

BOARDS = (
    *(NODES, CLUSTER, KAFKA, POSTGRESQL),
    *(INGESTION, CATALOGUE, PROCESSING, DISTRIBUTION),
    *(SECURITY, KPIS, FINOPS),
)
