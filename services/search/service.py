"""The `metadata-search` process: the search over the catalogue, over HTTPS, for operators and processing."""

from refsys.services.common import process
from refsys.services.common.bus import Producer
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS, server
from refsys.services.common.settings import (
    ApiSettings,
    DatabaseSettings,
    KafkaSettings,
    OidcSettings,
    S3Settings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.auth import open_authenticator
from refsys.services.search.app import create_app
from refsys.services.search.database import bound_statements
from refsys.services.search.deletion import Deletions
from refsys.services.search.repository import Catalogued


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("metadata-search")
    api, oidc = load(ApiSettings), load(OidcSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    bound_statements(engine)
    app = create_app(
        Catalogued(engine),
        Deletions(engine, ObjectStore(load(S3Settings))),
        Producer(load(KafkaSettings), running.name),
        open_authenticator(oidc),
        running.health,
    )
    server(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
