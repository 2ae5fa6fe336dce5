"""The one entry of the image: `python -m refsys.services <process>`."""

import sys
from importlib import import_module

from refsys.services.common.secrets import kept
from refsys.services.common.settings import SettingsError

PROCESSES = {
    "migrate": "refsys.services.migrations.upgrade",
    "topics": "refsys.services.common.topics",
    "buckets": "refsys.services.common.buckets",
    "ingestion-trigger": "refsys.services.ingestion.trigger",
    "ingestion-worker": "refsys.services.ingestion.worker",
    "catalogue": "refsys.services.catalogue.service",
    "metadata-search": "refsys.services.search.service",
    "preparation": "refsys.services.preparation.service",
    "compression-filter": "refsys.services.compression.filter",
    "compression-worker": "refsys.services.compression.worker",
    "router": "refsys.services.routing.router",
    "publisher": "refsys.services.distribution.publisher",
    "prip": "refsys.services.distribution.prip",
    "stac": "refsys.services.distribution.stac.service",
    "ondemand": "refsys.services.ondemand.service",
    "notifier": "refsys.services.distribution.delivery.notifier",
    "cadip": "refsys.services.cadip.service",
    "ingestor": "refsys.services.ingestor.service",
    "execution": "refsys.services.execution.service",
    "job-runner": "refsys.services.execution.runner",
    "lifecycle": "refsys.services.lifecycle.service",
    "reconcile": "refsys.services.reconciliation.service",
    "dlq": "refsys.services.dead_letters.service",
    "operations": "refsys.services.operations.service",
    "log-indexer": "refsys.services.logs.indexer",
    "kpi": "refsys.services.kpi.service",
    "detector": "refsys.services.detection.detector",
    "exporter": "refsys.services.exporters.exporter",
    "kafka-lag": "refsys.services.exporters.kafka_lag",
    "mission-planning": "refsys.services.planning.service",
    "sra": "refsys.services.sra.service",
    "openbao-backup": "refsys.services.backup.openbao",
    "application-backup": "refsys.services.backup.application",
    "secrets": "refsys.services.common.secrets",
}
WITH_OPTIONS = frozenset({"reconcile"})  # their main takes the other arguments and returns the exit status


def main(arguments: list[str]) -> int:
    """Run the process named by the first argument; 2 means wrong use or a wrong setting."""
    if not arguments or arguments[0] not in PROCESSES or (arguments[1:] and arguments[0] not in WITH_OPTIONS):
        sys.stderr.write(f"usage: python -m refsys.services {{{'|'.join(PROCESSES)}}}\n")
        return 2
    name = arguments[0]
    try:
        with kept(name):
            run = import_module(PROCESSES[name]).main
            if name in WITH_OPTIONS:
                return int(run(arguments[1:]))
            run()
    except SettingsError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
