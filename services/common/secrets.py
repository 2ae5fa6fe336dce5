"""Secrets from OpenBao (or Vault): fetched before a process starts, and kept valid as long as it runs.

They are files in a folder in memory, where the other settings look for them. Each is replaced as a whole, so that who
reads it again has what is valid now: the database at each new connection, HTTPS servers when the file is another.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hvac
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError
from prometheus_client import Counter
from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict
from requests import RequestException

from refsys.services.common import logs
from refsys.services.common.process import start
from refsys.services.common.settings import ReadableFile, load

DATABASE_FILE = "database"
CERTIFICATE_FILE = "tls.pem"
TIMEOUT_SECONDS = 30
RETRY_SECONDS = 5.0
VALUES_SECONDS = 300.0
RENEWED_AT = 0.5  # of a life: half of it is left for a server that is away
FRESH = 0.9  # a renewed lease that is shorter comes to its end, and another is due

UNREACHABLE = (VaultError, RequestException, OSError)

FETCHED = Counter("refsys_secrets_total", "Secrets fetched and renewed, by kind and outcome", ["kind", "outcome"])

log = logs.get_logger()


class SecretsSettings(BaseSettings):
    """Where the secrets come from, which, and where they go. Without a URL the files are there already."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_SECRETS_")

    url: HttpUrl | None = None
    ca_file: ReadableFile | None = None
    token_file: Path = Path("/var/run/secrets/openbao/token")
    folder: Path = Path("/run/refsys/secrets")
    role: str = ""
    values: bool = False
    database: bool = False
    dns_names: tuple[str, ...] = Field(default=(), description="of the certificate; none, no certificate")


class Secret(ABC):
    """Something that is fetched, and again before it ends."""

    kind: str

    def __init__(self, client: hvac.Client, settings: SecretsSettings) -> None:
        """It is due at once."""
        self._client = client
        self._role = settings.role
        self._folder = settings.folder
        self.due = 0.0

    @abstractmethod
    def fetch(self) -> float:
        """Get it, or prolong its life; returns the seconds for which it is valid."""

    def forget(self) -> None:
        """What was got is lost, with the token that it belongs to."""
        self.due = 0.0

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        new = self._folder / f".{name}"
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.replace(path)


class Values(Secret):
    """What the stack handed over: a file for each value."""

    kind = "values"

    def fetch(self) -> float:
        """Read them."""
        for name, text in _read(self._client, f"kv/{self._role}")["data"].items():
            self._write(name, text)
        return VALUES_SECONDS / RENEWED_AT


class Database(Secret):
    """A short-lived user of the database and its password, a line each."""

    kind = "database"

    def __init__(self, client: hvac.Client, settings: SecretsSettings) -> None:
        """No user yet."""
        super().__init__(client, settings)
        self._lease = ""
        self._seconds = 0.0

    def fetch(self) -> float:
        """Prolong the user's life while that is possible, then get another; the one before ends by itself."""
        if self._lease:
            with suppress(InvalidRequest, InvalidPath, Forbidden):
                renewed = float(self._client.sys.renew_lease(self._lease)["lease_duration"])
                if renewed >= FRESH * self._seconds:
                    return renewed
        answer = _read(self._client, f"database/creds/{self._role}")
        self._write(DATABASE_FILE, f"{answer['data']['username']}\n{answer['data']['password']}\n")
        self._lease, self._seconds = answer["lease_id"], float(answer["lease_duration"])
        return self._seconds

    def forget(self) -> None:
        """The user ends with the token."""
        super().forget()
        self._lease = ""


class Certificate(Secret):
    """A certificate with its authorities and its key."""

    kind = "certificate"

    def __init__(self, client: hvac.Client, settings: SecretsSettings) -> None:
        """Its names are those of the settings."""
        super().__init__(client, settings)
        self._names = settings.dns_names

    def fetch(self) -> float:
        """Have another made."""
        wanted = {"alt_names": ",".join(self._names), "private_key_format": "pkcs8"}
        made = self._client.write_data(f"pki/issue/{self._role}", data=wanted)["data"]
        chain = [made["certificate"], *made.get("ca_chain", [])]
        self._write(CERTIFICATE_FILE, "".join(f"{part.strip()}\n" for part in (*chain, made["private_key"])))
        return float(made["expiration"]) - time.time()


class Token(Secret):
    """What everything else is asked with; got for the pod's own token, which only OpenBao takes."""

    kind = "token"

    def __init__(self, client: hvac.Client, settings: SecretsSettings) -> None:
        """Not logged in."""
        super().__init__(client, settings)
        self._settings = settings
        self.another = False

    def fetch(self) -> float:
        """Prolong its life; log in where there is none."""
        self.another = False
        if self._client.token:
            with suppress(InvalidRequest, Forbidden):
                return float(self._client.auth.token.renew_self()["auth"]["lease_duration"])
        seconds = log_in(self._client, self._settings)
        self.another = True
        return seconds


class Keeper:
    """All secrets of a process."""

    def __init__(self, settings: SecretsSettings) -> None:
        """Nothing is asked for yet."""
        self._client = open_client(settings)
        self._token = Token(self._client, settings)
        self._secrets: list[Secret] = []
        if settings.values:
            self._secrets.append(Values(self._client, settings))
        if settings.database:
            self._secrets.append(Database(self._client, settings))
        if settings.dns_names:
            self._secrets.append(Certificate(self._client, settings))
        self._stop = threading.Event()

    def refresh(self) -> float:
        """Fetch what is due; returns the seconds until the next is.

        Raises:
            VaultError, RequestException, OSError: something was not to be had; it stays due.
        """
        for secret in (self._token, *self._secrets):
            if secret.due > time.monotonic():
                continue
            try:
                seconds = secret.fetch()
            except UNREACHABLE as error:
                FETCHED.labels(secret.kind, "failed").inc()
                if isinstance(error, Forbidden) and secret is not self._token:
                    self._token.forget()  # it may have been revoked
                raise
            FETCHED.labels(secret.kind, "fetched").inc()
            secret.due = time.monotonic() + seconds * RENEWED_AT
            if secret is self._token and self._token.another:
                for other in self._secrets:
                    other.forget()
        return min(secret.due for secret in (self._token, *self._secrets)) - time.monotonic()

    def keep(self, wait: bool) -> None:
        """Refresh again and again: until all was fetched once if `wait`, else until `close`."""
        while not self._stop.is_set():
            try:
                seconds = self.refresh()
                if wait:
                    return
            except UNREACHABLE as error:
                seconds = RETRY_SECONDS
                log.warning("secrets are not to be had yet", reason=_reason(error), retry_seconds=seconds)
            self._stop.wait(max(seconds, 0.1))

    def close(self) -> None:
        """Give everything back: users of the database end now."""
        self._stop.set()
        with suppress(*UNREACHABLE):
            self._client.auth.token.revoke_self()


@contextmanager
def kept(process: str) -> Iterator[None]:
    """Have the secrets of the settings as files while the context lasts."""
    settings = load(SecretsSettings)
    if settings.url is None:
        yield
        return
    logs.configure(process)
    keeper = Keeper(settings)
    keeper.keep(wait=True)
    log.info("secrets are there", role=settings.role)
    thread = threading.Thread(target=keeper.keep, args=(False,), name="secrets", daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.close()


def open_client(settings: SecretsSettings) -> hvac.Client:
    """Return a client that is not logged in."""
    verify = str(settings.ca_file) if settings.ca_file else True
    return hvac.Client(url=str(settings.url), token="", verify=verify, timeout=TIMEOUT_SECONDS)


def log_in(client: hvac.Client, settings: SecretsSettings) -> float:
    """Log in with the pod's own token; returns the seconds for which that is good."""
    client.token = None
    token = settings.token_file.read_text(encoding="utf-8").strip()
    return float(client.auth.kubernetes.login(role=settings.role, jwt=token)["auth"]["lease_duration"])


def _read(client: hvac.Client, path: str) -> Any:
    answer = client.read(path)
    if answer is None:
        raise InvalidPath(f"{path} is not there; the job openbao-setup makes it")
    return answer


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__


def main() -> None:
    """Keep the secrets of a container beside this one, which reads them itself."""
    running = start("secrets")
    running.health.ready()
    running.stop.wait()
    running.operations.shutdown()
