"""Hosted applications as the platform has to know them: names, routes, roles, and what they are connected to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from refsys.platform.components.flows import Flow, Network, StationNetwork
from refsys.platform.components.gateway_config import Upstream
from refsys.platform.components.gateway_hosting import Hosting
from refsys.platform.components.gateway_login import Login
from refsys.platform.components.names import (
    CADIP,
    ENVOY_METRICS_PORT,
    GATEWAY,
    HTTPS_PORT,
    INGESTOR,
    KAFKA,
    KAFKA_PORT,
    KEYCLOAK,
    OBJECT_STORE,
    OBJECT_STORE_PORT,
    OPENBAO,
    OPENBAO_PORT,
    POSTGRESQL,
    POSTGRESQL_PORT,
    PRIP,
    PROMETHEUS,
    App,
)
from refsys.platform.components.secrets import SECRETS_DIRECTORY

PREFIX = "app-"
"""Begins the names of all that belongs to an application: namespace, workload, clients of the realm, bucket, topic."""
ROLE_PREFIX = "app_"
"""Begins the names of their roles and schemas in PostgreSQL."""
CALLBACK, LOGOUT = "/callback", "/logout"
"""Paths of each application's host that are the gateway's."""
INTERFACES: Mapping[str, tuple[App, str]] = {
    "auxip": (PRIP, "prip-user"),
    "prip": (PRIP, "prip-user"),
    "cadip": (CADIP, "cadip-user"),
    "ingestor": (INGESTOR, "ingestor-user"),
}
"""Interfaces that an application may ask as a client of its own: who serves them, and the role that opens them."""


@dataclass(frozen=True)
class Role:
    """A role of the realm that belongs to an application, and the groups that it is given to."""

    name: str
    description: str
    groups: Sequence[str] = ()


@dataclass(frozen=True)
class Hosted:
    """An application behind the gateway, in a namespace of its own."""

    name: str
    title: str
    host: str
    """Label of its host under the environment's domain."""
    port: int
    """Where it listens, by plain HTTP: only in its pod, and for Prometheus."""
    roles: Sequence[Role]
    """Whoever has one of them comes in."""
    content_policy: str
    """Of pages that bring none."""
    paths: Sequence[str] = ("/",)
    closed_paths: Sequence[str] = ()
    """What below `paths` is not for the outside: health, metrics."""
    websocket: bool = False
    requests_per_second: int = 50
    scraped: bool = True
    """It tells metrics at `port`."""
    database: bool = False
    object_store: bool = False
    kafka: bool = False
    interfaces: Sequence[str] = ()
    """Names of `INTERFACES`."""
    outside: Sequence[StationNetwork] = ()
    """What it may reach outside the cluster."""
    backup: bool = False

    @property
    def app(self) -> App:
        """Its workload, in the namespace of the same name."""
        return App(f"{PREFIX}{self.name}", f"{PREFIX}{self.name}")

    @property
    def backup_app(self) -> App:
        """What saves its data."""
        return App(self.app.namespace, f"{self.app.name}-backup")

    @property
    def login_client(self) -> str:
        """Client of the realm by which the gateway logs users in."""
        return self.app.name

    @property
    def service_client(self) -> str:
        """Client of the realm that the application itself is, where it asks interfaces."""
        return f"{self.app.name}-service"

    @property
    def service_roles(self) -> list[str]:
        """Roles of that client."""
        return sorted({INTERFACES[name][1] for name in self.interfaces})

    @property
    def database_role(self) -> str:
        """Its role in PostgreSQL, and its schema."""
        return ROLE_PREFIX + self.name.replace("-", "_")

    @property
    def bucket(self) -> str:
        """Its bucket in the object store, its account there, and its topic."""
        return self.app.name

    @property
    def client_file(self) -> str:
        """Name of the file by which the gateway gets the secret of the login's client."""
        return f"{self.app.name}-client.json"

    def url(self, domain: str) -> str:
        """Return the address that users know."""
        return f"https://{self.host}.{domain}"

    def upstream(self, domain: str, cookies_file: str) -> Upstream:
        """Return what the gateway of `domain` serves; the secret that cookies are sealed with is in `cookies_file`."""
        login = Login(
            self.login_client,
            pages=self.paths,
            callback=CALLBACK,
            logout=LOGOUT,
            client_file=f"{SECRETS_DIRECTORY}/{self.client_file}",
            cookies_file=f"{SECRETS_DIRECTORY}/{cookies_file}",
            requests_per_second=20,
            whole_host=True,
        )
        return Upstream(
            self.app,
            hosts=(f"{self.host}.{domain}",),
            paths=self.paths,
            timeout="60s",
            requests_per_second=self.requests_per_second,
            login=login,
            hosting=Hosting([role.name for role in self.roles], self.content_policy, self.closed_paths, self.websocket),
        )


def application_flows(applications: Sequence[Hosted]) -> tuple[Flow, ...]:
    """Return the flows that applications take part in."""
    return tuple(flow for application in applications for flow in _flows(application))


def _flows(application: Hosted) -> Iterator[Flow]:
    app, backup = application.app, application.backup_app
    yield Flow(GATEWAY, app, HTTPS_PORT)
    yield Flow(PROMETHEUS, app, ENVOY_METRICS_PORT)
    if application.scraped:
        yield Flow(PROMETHEUS, app, application.port)
    for holder in (app, *([backup] if application.backup else [])):
        yield Flow(holder, OPENBAO, OPENBAO_PORT)
        if application.database:
            yield Flow(holder, POSTGRESQL, POSTGRESQL_PORT)
        if application.object_store or holder == backup:
            yield Flow(holder, OBJECT_STORE, OBJECT_STORE_PORT)
    if application.kafka:
        yield Flow(app, KAFKA, KAFKA_PORT)
    if application.interfaces:
        yield Flow(app, KEYCLOAK, HTTPS_PORT)
    for target in sorted({INTERFACES[name][0] for name in application.interfaces}):
        yield Flow(app, target, HTTPS_PORT)
    for network in application.outside:
        yield Flow(app, Network(network.cidr), network.port, network.end_port)
