"""The `ingestor` process: uploads over HTTPS, and what happens to them when they are complete."""

import logging
import threading

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS, server
from refsys.services.common.settings import (
    ApiSettings,
    ClamdSettings,
    DatabaseSettings,
    IngestorSettings,
    OidcSettings,
    S3Settings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import Scanner
from refsys.services.distribution.auth import open_authenticator
from refsys.services.ingestor.app import create_app
from refsys.services.ingestor.processing import Processing
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.uploads import Uploads


def main() -> None:
    """Serve and process until asked to stop."""
    running = process.start("ingestor")
    logging.getLogger("tuspyserver").setLevel(logging.WARNING)  # it tells of each request, which is told already
    api, oidc, clamd = load(ApiSettings), load(OidcSettings), load(ClamdSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    uploads = Uploads(engine, load(IngestorSettings))
    stop, wake = threading.Event(), threading.Event()
    volume = Volume(uploads, wake.set)
    processing = Processing(uploads, volume, Scanner(clamd.host, clamd.port), ObjectStore(load(S3Settings)))
    served = server(
        create_app(uploads, volume, open_authenticator(oidc), running.health),
        api.tls_certificate_file,
        api.tls_key_file,
        api.https_port,
    )
    thread = threading.Thread(target=processing.run, args=(stop, wake), name="processing")
    thread.start()
    try:
        served.run()
    finally:
        stop.set()
        wake.set()
        thread.join()
        engine.dispose()
