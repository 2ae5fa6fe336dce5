"""Hosted applications as the stack's config declares them, and those that are shipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from refsys.infra import paths
from refsys.infra.manifests import check, images_of, read_manifests
from refsys.infra.model import Strict
from refsys.platform.components import Hosted, StationNetwork
from refsys.platform.components.applications import CALLBACK, LOGOUT
from refsys.platform.components.applications import Role as RealmRole
from refsys.platform.components.realm import ROLES

SHIPPED = Path(__file__).resolve().parents[1] / "services" / "applications"
TAKEN_HOSTS = frozenset(
    {"prip", "auxip", "cadip", "stac", "ondemand", "metadata", "ingestor", "operations", "auth", "api", "registry"}
)
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,28}[a-z0-9]$")]
Quantity = Annotated[str, Field(pattern=r"^\d+[KMGT]i$")]
UrlPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$")]


class Resources(Strict):
    """What the application asks for and may use."""

    cpu: str = Field(default="10m", pattern=r"^\d+m$", description="asked for, thousandths of a core")
    memory: Quantity = Field(default="96Mi", description="asked for")
    memory_limit: Quantity = Field(default="256Mi", description="at most")


class Role(Strict):
    """A role of the application: `<application>-<role>` in the realm."""

    description: str
    groups: list[str] = Field(default=[], description="groups that give it")


class Volume(Strict):
    """A folder that stays."""

    size: Quantity
    path: UrlPath = "/data"


class Backup(Strict):
    """When database and volume are saved, and how long copies are kept."""

    schedule: str = Field(default="30 2 * * *", pattern=r"^\S+( \S+){4}$", description="cron expression in UTC")
    days: int = Field(default=14, ge=1, le=3650)


class Chart(Strict):
    """An application as manifests, as `helm template` writes them (docs/applications.md)."""

    manifests: Path = Field(description="file, from the checkout's folder where it is relative")
    service: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="Service that the gateway's requests go to")


class Quota(Strict):
    """What all of the application together may ask for."""

    pods: int = Field(default=4, ge=2, le=100)
    cpus: float = Field(default=1, gt=0)
    memory_mib: int = Field(default=1024, ge=256)


class Network(Strict):
    """What the application may reach outside the cluster."""

    cidr: str = Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$")
    port: int = Field(ge=1, le=65535)


class Application(Strict):
    """An application that the environment hosts (docs/applications.md)."""

    name: Label
    title: str = Field(min_length=1, max_length=80)
    image: str = Field(
        default="",
        pattern=r"^$|^([a-z][a-z0-9-]*|[^\s@]+@sha256:[0-9a-f]{64})$",
        description="one of the distribution by its name, or another one by its reference with digest in the "
        "environment's registry, signed",
    )
    chart: Chart | None = Field(default=None, description="in place of an image")
    host: Label = Field(default="", description="of the address, before the domain; default the name")
    paths: list[UrlPath] = Field(
        default=["/"], min_length=1, description="paths and what is below: all else is not found"
    )
    port: int = Field(default=8080, ge=1024, le=65535, description="where it listens, plain HTTP")
    health: UrlPath = Field(default="/health", description="200 when it can serve")
    metrics: bool = Field(default=True, description="whether it tells Prometheus its metrics, at /metrics")
    websocket: bool = Field(default=False, description="its pages may open WebSockets")
    desktop: Literal["user", "shared"] | None = Field(
        default=None, description="a graphical application: `user`, a display for each user, or `shared`, one for all"
    )
    content_policy: str = Field(default=CONTENT_POLICY, description="Content-Security-Policy of pages that bring none")
    requests_per_second: int = Field(default=50, ge=1, le=10_000)
    args: list[str] = Field(default=[], description="of the image's entry point")
    env: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], str] = Field(
        default={}, description="environment variables; nothing secret"
    )
    resources: Resources = Resources()
    scratch: Quantity = Field(default="64Mi", description="of /tmp")
    start_seconds: int = Field(default=60, ge=2, le=600, description="until it answers for the first time")
    roles: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")], Role] = Field(
        min_length=1, description="whoever has one of them comes in"
    )
    database: bool = Field(default=False, description="a schema of its own in PostgreSQL")
    object_store: bool = Field(default=False, description="a bucket of its own")
    kafka: bool = Field(default=False, description="a topic of its own")
    interfaces: list[Literal["auxip", "prip", "cadip", "ingestor"]] = Field(
        default=[], description="auxip, prip, cadip, ingestor: those that it asks, as a client of its own"
    )
    volume: Volume | None = None
    backup: Backup | None = None
    networks: list[Network] = Field(default=[], description="what it may reach outside the cluster")
    quota: Quota = Quota()

    @model_validator(mode="before")
    @classmethod
    def _at_its_name(cls, values: Any) -> Any:
        return {"host": values.get("name", ""), **values} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.host in TAKEN_HOSTS:
            raise ValueError(f"{self.host} is a host of every environment; take another one for {self.name}")
        if bool(self.image) == bool(self.chart):
            raise ValueError(f"{self.name} needs an image or a chart, and not both")
        if self.chart:
            own = ("database", "object_store", "kafka", "interfaces", "volume", "backup", "desktop", "args", "env")
            if given := [name for name in own if getattr(self, name)]:
                raise ValueError(f"{self.name} is a chart, which brings its own: it can't have {', '.join(given)}")
            check(self.documents, self.name)
        if self.backup and not (self.database or self.volume):
            raise ValueError(f"{self.name} has neither database nor volume, so that there is nothing to save")
        if of_login := {CALLBACK, LOGOUT} & {*self.paths, self.health}:
            raise ValueError(f"{', '.join(sorted(of_login))} of {self.name} is the login's; take another path")
        if taken := sorted({self.realm_role(role) for role in self.roles} & set(ROLES)):
            raise ValueError(f"{', '.join(taken)} is a role of every environment; take another name")
        return self

    def realm_role(self, role: str) -> str:
        """Return the name of one of its roles in the realm."""
        return f"{self.name}-{role}"

    @property
    def of_distribution(self) -> bool:
        """Whether its image is one of the distribution."""
        return bool(self.image) and "@" not in self.image

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Its manifests, where it is a chart.

        Raises:
            ValueError: the file can't be read.
        """
        return read_manifests(paths.CHECKOUT / self.chart.manifests) if self.chart else []

    @property
    def foreign_images(self) -> list[str]:
        """Images with digest that are none of the distribution."""
        if self.chart:
            return images_of(self.documents)
        return [] if self.of_distribution else [self.image]

    @property
    def variables(self) -> dict[str, str]:
        """Its environment variables, as far as they are declared."""
        shown = {"REFSYS_DESKTOP_SESSIONS": self.desktop, "REFSYS_DESKTOP_TITLE": self.title} if self.desktop else {}
        return {**shown, **self.env}

    def hosted(self) -> Hosted:
        """Return it as the platform takes it."""
        return Hosted(
            self.name,
            self.title,
            self.host,
            self.port,
            [RealmRole(self.realm_role(name), role.description, role.groups) for name, role in self.roles.items()],
            self.content_policy,
            paths=self.paths,
            closed_paths=[] if self.chart else sorted({self.health, *(["/metrics"] if self.metrics else [])}),
            websocket=self.websocket or self.desktop is not None,
            requests_per_second=self.requests_per_second,
            scraped=self.metrics and not self.chart,
            database=self.database,
            object_store=self.object_store,
            kafka=self.kafka,
            interfaces=self.interfaces,
            outside=[StationNetwork(network.cidr, network.port) for network in self.networks],
            backup=self.backup is not None,
        )


def expanded(declared: Any) -> Any:
    """Return the declarations with those in place of names that are shipped; `shipped: NAME` begins with such a one.

    Raises:
        ValueError: there is none of that name.
    """
    return [_expanded(each) for each in declared] if isinstance(declared, list) else declared


def shipped() -> Mapping[str, Path]:
    """Return the declarations that are shipped, by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}


def fit(declared: Sequence[Application], groups: Sequence[str]) -> None:
    """Check applications together, and against the groups.

    Raises:
        ValueError: says what does not fit, and how to put it right.
    """
    for what, names in (("name", [each.name for each in declared]), ("host", [each.host for each in declared])):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two applications have the {what} {', '.join(twice)}")
    for each in declared:
        for name, role in each.roles.items():
            if unknown := sorted(set(role.groups) - set(groups)):
                known, given = ", ".join(sorted(groups)), ", ".join(unknown)
                raise ValueError(f"role {name} of application {each.name} is given by {given}; the groups are {known}")


def _expanded(declared: Any) -> Any:
    if isinstance(declared, str):
        return _shipped(declared)
    if isinstance(declared, dict) and "shipped" in declared:
        changes = {key: value for key, value in declared.items() if key != "shipped"}
        return _shipped(str(declared["shipped"])) | changes
    return declared


def _shipped(name: str) -> dict[str, Any]:
    file = shipped().get(name)
    if file is None:
        raise ValueError(f"there is no application {name!r}; shipped are {', '.join(shipped()) or 'none'}")
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document
