"""Settings of the services: environment variables `REFSYS_…`, as listed in docs/architecture.md.

Each group of settings is a model of its own, so that a process only asks for what it uses.
"""

from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, Field, HttpUrl, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable, the reason and the fix in one line."""


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; mount the file or correct the path") from None


ReadableFile = Annotated[Path, AfterValidator(_readable)]


class DatabaseSettings(BaseSettings):
    """Where PostgreSQL is. The password is read from a file on every new connection, so it can rotate."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_DATABASE_")

    url: str = Field(pattern=r"^postgresql(\+psycopg)?://[^:@/]+@[^/]+/.+$")
    password_file: ReadableFile | None = None


class KafkaSettings(BaseSettings):
    """Where Kafka is, and the client certificate for mutual TLS (all three files, or none on loopback)."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_KAFKA_")

    bootstrap: str = Field(min_length=1)
    ca_file: ReadableFile | None = None
    certificate_file: ReadableFile | None = None
    key_file: ReadableFile | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        files = (self.ca_file, self.certificate_file, self.key_file)
        if any(files) and not all(files):
            raise ValueError("mutual TLS needs CA_FILE, CERTIFICATE_FILE and KEY_FILE together; set all three")
        return self


class S3Settings(BaseSettings):
    """Where the object store is."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_S3_")

    endpoint: HttpUrl
    region: str = "us-east-1"
    ca_file: ReadableFile | None = None
    access_key_file: ReadableFile
    secret_key_file: ReadableFile


class OidcSettings(BaseSettings):
    """How access tokens are verified."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_OIDC_")

    issuer: HttpUrl
    jwks_url: HttpUrl
    ca_file: ReadableFile | None = None
    audience: str = "refsys"


class ApiSettings(BaseSettings):
    """The HTTPS side of a service with an API."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    public_url: HttpUrl
    tls_certificate_file: ReadableFile
    tls_key_file: ReadableFile


class StationsSettings(BaseSettings):
    """Where the list of stations is."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    stations_file: ReadableFile


class OperationsSettings(BaseSettings):
    """Port of the probes and metrics; 0 takes a free one."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    operations_port: int = Field(default=9090, ge=0, le=65535)


Settings = TypeVar("Settings", bound=BaseSettings)


def load(model: type[Settings]) -> Settings:
    """Read one group of settings from the environment; raise `SettingsError` with a single clear line."""
    try:
        return model()
    except ValidationError as error:
        prefix = model.model_config.get("env_prefix", "")
        parts = []
        for problem in error.errors(include_url=False, include_input=False):
            name = prefix + "_".join(str(part) for part in problem["loc"]).upper()
            if problem["type"] == "missing":
                parts.append(f"{name} is not set; set it in the environment of the process")
            else:
                parts.append(f"{name} is wrong: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("; ".join(parts)) from None


def secret(path: Path) -> str:
    """The secret in a file, without the line end an editor may have added."""
    return path.read_text(encoding="utf-8").strip()
