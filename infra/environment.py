"""The one model of an environment: what its stack's config may say, checked before anything is touched."""

import difflib
import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator

from refsys.infra import applications as hosting
from refsys.infra import paths
from refsys.infra.clouds.existing.settings import Existing
from refsys.infra.clouds.local import naming
from refsys.infra.clouds.local.settings import Local
from refsys.infra.clouds.openstack.settings import OpenStack
from refsys.infra.clouds.pools import CloudSettings
from refsys.infra.clouds.scaleway.settings import Scaleway
from refsys.infra.costs.table import Rates
from refsys.infra.errors import UserError
from refsys.infra.layers import TOP, Layer
from refsys.infra.model import Cidr, Strict
from refsys.infra.policies.settings import Limits, Policies
from refsys.infra.users import DEFAULT_GROUPS, Group, OutsideDirectory, User, fit

SPACE = "refsys:"
"""Prefix of the model's keys in a stack's config."""
ENCRYPTED = "(encrypted)"
"""Stands for a value that only the engine can read."""

Mission = Literal["S1", "S2", "S3"]
CloudName = Literal["local", "existing", "openstack", "scaleway"]


class Kubernetes(Strict):
    """The cluster."""

    version: Literal["1.35.4"] = "1.35.4"
    pods: Cidr = Field(default="10.244.0.0/16", description="addresses of pods")
    services: Cidr = Field(default="10.96.0.0/12", description="addresses of services")


class Inbox(Strict):
    """Which files of a station are taken, and as what."""

    match: str = Field(description="regular expression that the file name must match")
    ignore: str | None = Field(default=None, description="regular expression of names to leave out")
    family: str = Field(description="product family, as in AUXILIARY_FILE, S2_AUX, S3_AUX, EDRS_SESSION")
    mission: Mission
    station: str | None = Field(
        default=None,
        pattern=r"^[A-Z0-9_]{4}$",
        description="code in messages, as MTI_, WILE; default the station's name",
    )
    priority: int | None = Field(
        default=None, ge=-1000, le=1000, description="files of the highest go first among the new ones of a poll"
    )


_TOKENS = frozenset({"token_url", "client_id", "client_secret"})
_USER = frozenset({"username", "password", "client_certificate_pem", "client_key", "ca_file_pem"})
_ODATA = _TOKENS | _USER | {"page_size"}
_FIELDS: Mapping[str, tuple[str, frozenset[str], frozenset[str]]] = {
    # type: scheme of the url, fields it must have, fields it may have
    "auxip": ("https?", frozenset(), _ODATA),
    "prip": ("https?", frozenset(), _ODATA),
    "cadip": ("https?", frozenset(), _ODATA),
    "lta": ("https?", frozenset({"token_url", "client_id"}), _ODATA),
    "xbip": ("https", frozenset(), _USER),
    "edip": ("ftps", frozenset(), _USER | {"backup_url", "directories", "passive_ports"}),
    "s3": ("https?", frozenset({"bucket", "access_key", "secret_key"}), frozenset({"prefix", "region", "ca_file_pem"})),
}
_OF_TYPES = frozenset().union(*(must | may for _, must, may in _FIELDS.values()))


class Station(Strict):
    """A station that files are polled from; docs/stations.md tells the fields of each type."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]{1,16}$")
    type: Literal["auxip", "prip", "cadip", "lta", "xbip", "edip", "s3"] = "auxip"
    url: str = Field(pattern=r"^(https?|ftps)://[^/?#]+", description="base address; of OData stations up to /odata/v1")
    backup_url: str | None = Field(default=None, pattern=r"^ftps://[^/?#]+", description="edip: the second site")
    directories: list[str] | None = Field(default=None, description="edip: those that are read")
    passive_ports: str | None = Field(
        default=None,
        pattern=r"^\d{1,5}-\d{1,5}$",
        description="edip: ports of the server's data connections, which the network opens; default 1024-65535",
    )
    bucket: str | None = Field(default=None, description="s3")
    prefix: str | None = Field(default=None, description="s3: only keys that begin with it")
    region: str | None = Field(default=None, description="s3")
    token_url: str | None = Field(
        default=None, pattern=r"^https?://[^/?#]+", description="where tokens come from; without, HTTP Basic"
    )
    client_id: str | None = None
    username: str | None = None
    password: SecretStr | None = Field(
        default=None, description="set it encrypted: pulumi config set --secret --path refsys:stations[0].password"
    )
    client_secret: SecretStr | None = Field(default=None, description="encrypted, as password")
    client_certificate_pem: str | None = Field(default=None, description="what this side shows")
    client_key: SecretStr | None = Field(default=None, description="key of the client certificate; encrypted")
    access_key: SecretStr | None = Field(default=None, description="s3; encrypted")
    secret_key: SecretStr | None = Field(default=None, description="s3; encrypted")
    ca_file_pem: str | None = Field(
        default=None, description="certificate of the station's authority; none for public ones"
    )
    poll_seconds: int | None = Field(
        default=None, ge=1, le=3600, description="default 10 for auxip and prip, 300 for edip, else 20"
    )
    overlap_seconds: int = Field(default=2400, ge=0, description="how far each poll looks back before the cursor")
    page_size: int | None = Field(default=None, ge=1, le=1000, description="default 500")
    timeout_seconds: int = Field(default=30, ge=1, le=3600, description="of a silent connection")
    connections: int = Field(default=4, ge=1, le=64, description="files fetched at the same time")
    bandwidth_bytes: int | None = Field(default=None, ge=1024, description="read in a second, in all connections")
    history_days: float | None = Field(
        default=None, gt=0, description="how far back the first poll looks; default all for auxip and prip, else 7"
    )
    inboxes: list[Inbox] = Field(min_length=1)

    @field_validator("type", mode="before")
    @classmethod
    def _is_no_folder(cls, value: Any) -> Any:
        if value == "folder":
            raise ValueError(
                "a folder lies on one machine, where pods of an environment cannot read it; offer the files as s3, "
                "or run the ingestion outside a cluster (docs/stations.md)"
            )
        return value

    @field_validator("passive_ports")
    @classmethod
    def _is_a_range(cls, value: str | None) -> str | None:
        if value is not None:
            first, last = map(int, value.split("-"))
            if not 1 <= first <= last <= 65535:
                raise ValueError("must be two ports from 1 to 65535, the lower one first, such as 50000-50100")
        return value

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        scheme, must, may = _FIELDS[self.type]
        given = {field for field in _OF_TYPES if getattr(self, field) is not None}
        if missing := sorted(must - given):
            raise ValueError(f"a station of type {self.type} needs {', '.join(missing)}")
        if unknown := sorted(given - must - may):
            raise ValueError(f"a station of type {self.type} has no {', '.join(unknown)}")
        if not re.match(f"{scheme}://", self.url):
            raise ValueError(f"the url of a station of type {self.type} begins with {scheme.replace('?', '')}://")
        return self


class Window(Strict):
    """A window that opens again and again."""

    start: str = Field(
        pattern=r"^\S+( \S+){4}$", description="when it opens, a cron expression in UTC: `0 19 * * 5`, Fridays at 19:00"
    )
    minutes: int = Field(ge=1, le=44640, description="how long it is open")


class Sampling(Strict):
    """Sampled systematic production: only sessions received in a window enter; without windows all do."""

    S1: list[Window] = Field(default=[])
    S2: list[Window] = Field(default=[])
    S3: list[Window] = Field(default=[])


class JobQuota(Strict):
    """What the production jobs of a mission may have at a time; those that aren't urgent leave a quarter of it."""

    jobs: int = Field(default=4, ge=2, le=10_000, description="how many")
    cpus: float = Field(default=8, gt=0, description="cores, as the jobs ask for them")
    memory_gib: float = Field(default=32, gt=0, description="GiB")


class Production(Strict):
    """Production jobs by mission."""

    S1: JobQuota = JobQuota()
    S2: JobQuota = JobQuota()
    S3: JobQuota = JobQuota()


class OnDemand(Strict):
    """What each user may order (docs/on-demand.md)."""

    open_orders: int = Field(default=5, ge=1, description="orders that have not ended")
    jobs_per_day: int = Field(default=100, ge=1, description="production jobs in 24 hours")
    jobs_per_order: int = Field(default=50, ge=1, le=1000, description="production jobs of one order")


class RoutingRemote(Strict):
    """A storage system that files are routed from or to, in rclone's terms."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    type: str = Field(pattern=r"^[a-z0-9]+$", description="rclone backend, as in s3, webdav, ftp, sftp")
    options: dict[str, str | int | bool] = Field(default={}, description="options of the backend")
    secrets: dict[str, SecretStr] = Field(default={}, description="options that are secret; set them encrypted")


class RoutingNetwork(Strict):
    """Where a remote is reached."""

    cidr: Cidr
    port: int = Field(ge=1, le=65535)


class Routing(Strict):
    """Transfer from external sources to external targets (docs/routing.md)."""

    remotes: list[RoutingRemote] = Field(default=[])
    rules: list[dict[str, Any]] = Field(default=[], description="rules, as in docs/routing.md")
    networks: list[RoutingNetwork] = Field(default=[], description="what the router may reach outside the cluster")
    ca_file_pem: str | None = Field(default=None, description="authorities of the remotes; none for public ones")


class VirusScan(Strict):
    """The virus scan of uploads (docs/ingestor.md)."""

    mirror: str | None = Field(
        default=None,
        pattern=r"^https://[^/?#]+",
        description="private mirror of ClamAV's signatures; without, only the EICAR test file is found",
    )


class Perimeter(Strict):
    """Who reaches the environment from outside (docs/security/perimeter.md)."""

    operators_from: list[Cidr] = Field(
        default=["0.0.0.0/0"],
        min_length=1,
        description="networks from which operators reach SSH of the control plane, which is the way to all nodes, "
        "and the Kubernetes API",
    )
    uploaders_ca_pem: str | None = Field(
        default=None,
        pattern=r"^-----BEGIN CERTIFICATE-----",
        description="authority of the certificates that who uploads must show beside a token",
    )


class AlertMail(Strict):
    """Whom alerts are mailed to; the server must offer STARTTLS."""

    to: list[str] = Field(min_length=1, description="addresses")
    sender: str = Field(description="address that they come from")
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+:\d{1,5}$", description="host and port, as in mail.example.org:587")
    username: str | None = None
    password: SecretStr | None = Field(default=None, description="encrypted")

    @model_validator(mode="after")
    def _logs_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; give both or none")
        return self


class Alerts(Strict):
    """Who is told of alerts; without anybody they are only held and shown."""

    webhook: SecretStr | None = Field(
        default=None,
        description="address (https) that Alertmanager's messages are sent to, with a certificate of a public "
        "authority; set it encrypted where it lets in who knows it",
    )
    mail: AlertMail | None = None
    dead_man_webhook: SecretStr | None = Field(
        default=None,
        description="address (https) of a dead-man's switch: it is told each minute that alerts find their way, and "
        "raises the alarm itself when nothing comes; set it encrypted",
    )
    from_severity: Literal["low", "medium", "high", "critical"] = Field(
        default="medium", description="the lowest severity that people are told of"
    )

    @model_validator(mode="after")
    def _goes_by_tls(self) -> Self:
        # Of the whole, so that the message does not show the address.
        for name in ("webhook", "dead_man_webhook"):
            address: SecretStr | None = getattr(self, name)
            if address and not re.match(r"https://[^/?#]+", address.get_secret_value()):
                raise ValueError(f"{name} must begin with https:// and a host")
        return self


class Prices(Strict):
    """What resources cost, EUR; the defaults are examples, to be replaced by what is paid (docs/portal.md)."""

    vcpu_hour: float = Field(default=0.02, ge=0, description="a node's virtual processor, an hour")
    memory_gib_hour: float = Field(default=0.003, ge=0, description="a GiB of a node's memory, an hour")
    volume_gib_month: float = Field(default=0.05, ge=0, description="a GiB of a volume, a month")
    object_gib_month: float = Field(default=0.02, ge=0, description="a GiB in the object store, a month")
    delivered_gib: float = Field(default=0.01, ge=0, description="a GiB delivered to users")


class Package(Strict):
    """A program that comes from an apt repository of its own."""

    repository: str = Field(
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="address of the apt repository, suite `stable`, component `main`",
    )
    key: str = Field(
        pattern=r"^-----BEGIN PGP PUBLIC KEY BLOCK-----",
        description="public key that the repository is signed with, in ASCII armour",
    )


class Wazuh(Package):
    """Wazuh: a manager on the first node of the control plane, agents on all others."""

    version: str = Field(
        pattern=r"^4\.(9|[1-9]\d)\.\d+-\d+$", description="version of the packages, 4.9 or newer, as 4.14.1-1"
    )


class Falco(Package):
    """Falco, on every node; it needs nodes with a kernel of their own."""

    version: str = Field(
        pattern=r"^0\.(3[89]|[4-9]\d)\.\d+$", description="version of the package, 0.38 or newer, as 0.41.3"
    )


class Detection(Strict):
    """What detects beside that which always does (docs/security/detection.md); unset, it is not installed."""

    wazuh: Wazuh | None = None
    falco: Falco | None = None


class Environment(Strict):
    """A whole environment. The stack's name is its name, each other field a key `refsys:<field>` of its config."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$", description="lower-case letters, digits, hyphens; at most 20")
    domain: str = Field(
        default="",
        pattern=r"^([a-z0-9-]+\.)*[a-z0-9-]*$",
        description="DNS domain; default <name>.refsys.test",
    )
    cloud: CloudName = Field(default="local", description="where the nodes are; its settings are the field of its name")
    cidr: Cidr | None = Field(
        default=None, description="network of the nodes, a /24; derived from the name where absent"
    )
    until: Layer = Field(default=TOP, description="the layer up to which the environment is brought (docs/clouds.md)")
    local: Local = Local()
    existing: Existing | None = None
    openstack: OpenStack | None = None
    scaleway: Scaleway | None = None
    kubernetes: Kubernetes = Kubernetes()
    stations: list[Station] = Field(default=[])
    routing: Routing = Routing()
    sampling: Sampling = Sampling()
    production: Production = Production()
    on_demand: OnDemand = OnDemand()
    virus_scan: VirusScan = VirusScan()
    users: list[User] = Field(default=[])
    groups: list[Group] = Field(
        default=list(DEFAULT_GROUPS), description="default: users, uploaders, viewers, operators, administrators"
    )
    directory: OutsideDirectory | None = None
    perimeter: Perimeter = Perimeter()
    alerts: Alerts = Alerts()
    detection: Detection = Detection()
    prices: Prices = Prices()
    costs: Rates = Rates()
    applications: list[hosting.Application] = Field(
        default=[],
        description="hosted applications (docs/applications.md): shipped ones by name, others in full",
    )
    metrics_history: bool = Field(
        default=False,
        description="keep metrics for years in the object store (docs/metrics.md): as they came for a week, every 5 "
        "minutes for 30 days, every hour for 10 years; needs 11 more minutes to build once, and 300 MiB of memory",
    )
    protected: bool = Field(
        default=False,
        description="refuse `down`, and changes that replace or remove nodes, volumes or buckets, unless the "
        "environment's name is typed: --unprotect NAME",
    )
    limits: Limits = Limits()
    policies: Policies = Policies()
    demo: bool = Field(
        default=True, description="a demo user and demo stations, for trying things out; off in production"
    )

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: dict[str, Any]) -> dict[str, Any]:
        name = str(values.get("name", ""))
        return {"domain": f"{name}.refsys.test", **values}

    @field_validator("cidr")
    @classmethod
    def _is_a_network(cls, value: str | None) -> str | None:
        if value is not None:
            ipaddress.ip_network(value)
        return value

    @field_validator("applications", mode="before")
    @classmethod
    def _shipped(cls, value: Any) -> Any:
        return hosting.expanded(value)

    @model_validator(mode="after")
    def _one_cloud(self) -> Self:
        for name in get_args(CloudName):
            if name == self.cloud and getattr(self, name) is None:
                raise ValueError(f"{name}: the settings of the chosen cloud are missing; set {SPACE}{name}")
            if name != self.cloud and name in self.model_fields_set:
                raise ValueError(
                    f"{name}: settings of a cloud, but the chosen one is {self.cloud}; remove them, or set "
                    f"{SPACE}cloud: {name}"
                )
        self.settings.check_network(self.network)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        fit(self.users, self.groups, self.directory)
        hosting.fit(self.applications, [group.name for group in self.groups])
        return self

    @property
    def settings(self) -> CloudSettings:
        """The settings of the chosen cloud."""
        found: CloudSettings = getattr(self, self.cloud)
        return found

    @property
    def network(self) -> str:
        """The nodes' network."""
        return self.cidr or naming.default_cidr(self.name)

    @classmethod
    def parse(cls, name: str, config: Mapping[str, Any]) -> "Environment":
        """Build the model from a stack's config: field → value, or its JSON as the engine passes it."""
        values = {key: _value(value) for key, value in config.items()}
        try:
            return cls.model_validate({"name": name, **values})
        except ValidationError as error:
            raise _explained(name, error) from None

    @classmethod
    def load(cls, name: str) -> "Environment":
        """Read the stack's config file; where there is none, the defaults hold."""
        file = config_file(name)
        try:
            document = yaml.safe_load(file.read_text()) if file.exists() else None
        except yaml.YAMLError as error:
            raise UserError(f"{file.name} is not YAML: {error}", fix=f"correct {file.name}") from None
        config = (document or {}).get("config") or {}
        return cls.parse(
            name,
            {key.removeprefix(SPACE): _masked(value) for key, value in config.items() if key.startswith(SPACE)},
        )


def config_file(name: str) -> Path:
    """The config file of the environment's stack."""
    return paths.CHECKOUT / f"Pulumi.{name}.yaml"


def _masked(value: Any) -> Any:
    """The value with encrypted parts, which only the engine can read, as a text."""
    if isinstance(value, dict):
        return ENCRYPTED if set(value) == {"secure"} else {key: _masked(part) for key, part in value.items()}
    return [_masked(part) for part in value] if isinstance(value, list) else value


def _value(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:
        return value


def _explained(name: str, error: ValidationError) -> UserError:
    lines = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"{field}: there is no such field{_similar(item['loc'])}")
        else:
            # What is wrong with parts together is told by the message; their values may be secrets.
            place = field if isinstance(item["input"], dict | list) else f"{field} = {item['input']!r}"
            lines.append(": ".join(filter(None, [place, item["msg"].removeprefix("Value error, ")])))
    file = f"Pulumi.{name}.yaml"
    return UserError(
        f"the config of environment {name} is not valid:\n" + "\n".join(f"    {line}" for line in lines),
        fix=f"correct {file} (fields: docs/reference/environment.md), then run the same command again",
    )


def _similar(location: tuple[int | str, ...]) -> str:
    model: type[BaseModel] | None = Environment
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation if model and str(part) in model.model_fields else None
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    close = difflib.get_close_matches(str(location[-1]), model.model_fields if model else [], n=1)
    return f", did you mean {close[0]}?" if close else ""
