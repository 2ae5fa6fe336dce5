"""The `exporter` process: figures of backups and of ClamAV, which has a port of its own, since it is another job."""

import time
from functools import partial

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from refsys.services.common import process
from refsys.services.common.settings import ClamdSettings, ExporterSettings, S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import Scanner
from refsys.services.exporters import backups, clamav
from refsys.services.exporters.figures import Figures, Source

NAME = "exporter"
BACKUP_SECONDS = 120.0
CLAMAV_SECONDS = 30.0


def main() -> None:
    """Ask the object store and clamd until asked to stop."""
    clamd, store, port = load(ClamdSettings), ObjectStore(load(S3Settings)), load(ExporterSettings).clamav_metrics_port
    running = process.start(NAME)
    of_backups = Figures(Source("backups", BACKUP_SECONDS, partial(backups.read, store, since=time.time())))
    of_clamav = Figures(Source("clamav", CLAMAV_SECONDS, partial(clamav.read, Scanner(clamd.host, clamd.port))))
    REGISTRY.register(of_backups)
    registry = CollectorRegistry()
    registry.register(of_clamav)
    server, _ = start_http_server(port, registry=registry)
    process.run_together(running, partial(of_backups.keep, running), partial(of_clamav.keep, running))
    server.shutdown()
