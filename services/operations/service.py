"""The `operations` process: the operators' API over HTTPS."""

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.https import server
from refsys.services.common.settings import (
    AlertmanagerSettings,
    ApiKeySettings,
    ApiSettings,
    DatabaseSettings,
    LogStoreSettings,
    OidcSettings,
    PrometheusSettings,
    RunbookSettings,
    load,
)
from refsys.services.distribution.auth import open_authenticator
from refsys.services.logs.store import LogStore
from refsys.services.metrics.alertmanager import FiringAlerts
from refsys.services.metrics.prometheus import Prometheus
from refsys.services.operations.app import create_app
from refsys.services.overview.gather import Sources
from refsys.services.overview.overview import Overview

CONNECTIONS = 5


def main() -> None:
    """Serve until asked to stop."""
    api, oidc, key, database = load(ApiSettings), load(OidcSettings), load(ApiKeySettings), load(DatabaseSettings)
    log_store, prometheus = LogStore(load(LogStoreSettings)), Prometheus(load(PrometheusSettings))
    alerts, runbooks = FiringAlerts(load(AlertmanagerSettings)), load(RunbookSettings).folder
    running = process.start("operations")
    engine = open_database(database, running.name, pool_size=CONNECTIONS)
    authenticator = open_authenticator(oidc)
    overview = Overview(Sources(prometheus, alerts, engine), runbooks)
    app = create_app(engine, log_store, prometheus, overview, authenticator, key, running.health)
    server(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    log_store.close()
    prometheus.close()
    alerts.close()
    engine.dispose()
