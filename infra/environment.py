"""The one model of an environment: what its stack's config may say, checked before anything is touched."""

import difflib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from refsys.infra import paths
from refsys.infra.clouds.local import naming
from refsys.infra.errors import UserError

SPACE = "refsys:"
"""Prefix of the model's keys in a stack's config."""

Cidr = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$")]
Mission = Literal["S1", "S2", "S3"]


class Strict(BaseModel):
    """Base of all parts: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(Strict):
    """Size of a node."""

    memory_mib: int = Field(ge=1024, description="memory limit, MiB")
    cpus: float = Field(gt=0, description="processor limit, cores")


class Local(Strict):
    """The `local` cloud: nodes on this machine."""

    workers: int = Field(default=1, ge=1, le=99, description="number of worker nodes")
    control_plane: Size = Size(memory_mib=3072, cpus=2)
    worker: Size = Size(memory_mib=6144, cpus=2)


class Kubernetes(Strict):
    """The cluster."""

    version: Literal["1.35.4"] = "1.35.4"
    pods: Cidr = Field(default="10.244.0.0/16", description="addresses of pods")
    services: Cidr = Field(default="10.96.0.0/12", description="addresses of services")


class Inbox(Strict):
    """Which files of a station are taken, and as what."""

    match: str = Field(description="regular expression that the file name must match")
    ignore: str | None = Field(default=None, description="regular expression of names to leave out")
    family: str = Field(description="product family, as in AUXILIARY_FILE, S2_AUX, S3_AUX")
    mission: Mission


class Station(Strict):
    """A station that auxiliary files are polled from."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]{1,16}$")
    type: Literal["auxip"] = "auxip"
    url: str = Field(pattern=r"^https?://", description="base address, up to /odata/v1")
    token_url: str = Field(pattern=r"^https?://", description="where tokens come from")
    client_id: str
    username: str | None = None
    password: SecretStr | None = Field(
        default=None, description="set it encrypted: pulumi config set --secret --path refsys:stations[0].password"
    )
    ca_file_pem: str | None = Field(
        default=None, description="certificate of the station's authority; none for public ones"
    )
    poll_seconds: int = Field(default=10, ge=1)
    overlap_seconds: int = Field(default=2400, ge=0, description="how far each poll looks back before the cursor")
    page_size: int = Field(default=500, ge=1, le=1000)
    inboxes: list[Inbox] = Field(min_length=1)


class Environment(Strict):
    """A whole environment. The stack's name is its name, each other field a key `refsys:<field>` of its config."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$", description="lower-case letters, digits, hyphens; at most 20")
    domain: str = Field(
        default="",
        pattern=r"^([a-z0-9-]+\.)*[a-z0-9-]*$",
        description="DNS domain; default <name>.refsys.test",
    )
    cloud: Literal["local"] = "local"
    cidr: Cidr | None = Field(
        default=None, description="network of the nodes, a /24; derived from the name where absent"
    )
    local: Local = Local()
    kubernetes: Kubernetes = Kubernetes()
    stations: list[Station] = []
    demo: bool = Field(
        default=True, description="a demo user and a demo station, for trying things out; off in production"
    )

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: dict[str, Any]) -> dict[str, Any]:
        name = str(values.get("name", ""))
        return {"domain": f"{name}.refsys.test", **values}

    @field_validator("cidr")
    @classmethod
    def _is_private(cls, value: str | None) -> str | None:
        if value is not None:
            network = ipaddress.ip_network(value)
            if network.prefixlen != 24 or not network.is_private:
                raise ValueError("must be a private /24 such as 10.150.7.0/24")
        return value

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
            name, {key.removeprefix(SPACE): value for key, value in config.items() if key.startswith(SPACE)}
        )


def config_file(name: str) -> Path:
    """The config file of the environment's stack."""
    return paths.CHECKOUT / f"Pulumi.{name}.yaml"


def _masked(value: Any) -> Any:
    """The value with encrypted parts, which only the engine can read, as a text."""
    if isinstance(value, dict):
        return "(encrypted)" if set(value) == {"secure"} else {key: _masked(part) for key, part in value.items()}
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
            lines.append(f"{field} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
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
