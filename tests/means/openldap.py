"""A real slapd on loopback with the configuration of an environment, and its declared users and groups."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldap3 import NONE, Connection, Server, Tls

from refsys.infra import paths
from refsys.platform.components import directory_config, directory_sync
from refsys.platform.components.people import ACCOUNTS, Group, People, Person, wanted
from tests.means.certificates import Authority
from tests.means.processes import free_port, listens, running

DOMAIN = "directory.test"
ADMINISTRATOR = "the-administrators-password"
SCHEMA = paths.CHECKOUT / "platform/images/files/openldap/usr/share/refsys/openldap"
GROUPS = (
    Group("users", 30_001, ["prip-user"]),
    Group("operators", 30_002, ["prip-user", "operator", "kubernetes-operator", "node-login"]),
    Group("administrators", 30_003, ["operator", "kubernetes-admin", "node-login", "node-admin"]),
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQ anna@station"
ANNA = Person("anna", "Anna", "Ångström", "anna@example.org", ["users", "operators"], [KEY], 30_101)
BERT = Person("bert", "Bert", "Brecht", "bert@example.org", ["users"], [], 30_102)
PEOPLE = People([ANNA, BERT], GROUPS)


def first_password(name: str) -> str:
    """The first password of a declared user."""
    return f"first-password-of-{name}"


def account_password(name: str) -> str:
    """The password of a program."""
    return f"password-of-program-{name}"


@dataclass(frozen=True)
class OpenLdap:
    """A running directory; `log` is its output."""

    url: str
    ca_file: Path
    folder: Path
    log: Path

    def connect(self, dn: str, password: str) -> Connection:
        """A connection as somebody; wrong passwords raise."""
        tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(self.ca_file))
        server = Server(self.url, tls=tls, get_info=NONE, connect_timeout=5)
        return Connection(server, dn, password, auto_bind=True, raise_exceptions=True, receive_timeout=10)

    def administrator(self) -> Connection:
        """A connection that may do everything."""
        return self.connect(directory_config.administrator(DOMAIN), ADMINISTRATOR)

    def program(self, name: str) -> Connection:
        """A connection as a program."""
        return self.connect(directory_config.account(name, DOMAIN), account_password(name))

    def user(self, name: str, password: str | None = None) -> Connection:
        """A connection as a user, by default with the first password."""
        return self.connect(f"uid={name},{directory_config.people(DOMAIN)}", password or first_password(name))

    def keep(self, people: People = PEOPLE) -> list[str]:
        """Apply users and groups as the job does; return who must change the password."""
        passwords = {name: account_password(name) for name in ACCOUNTS}
        firsts = {person.name: first_password(person.name) for person in people.people}
        # As the job gets it: through JSON.
        document: dict[str, Any] = json.loads(json.dumps(wanted(DOMAIN, people)))
        with self.administrator() as connection:
            return directory_sync.Directory(connection, document).apply(passwords, firsts)


@contextmanager
def openldap(folder: Path, authority: Authority) -> Iterator[OpenLdap]:
    """Run slapd in `folder` until the context ends."""
    data, secrets = folder / "data", folder / "secrets"
    for made in (data, secrets):
        made.mkdir(parents=True)
    (secrets / "administrator.conf").write_text(f"rootpw {ADMINISTRATOR}\n")
    certificate, port = authority.issue("openldap"), free_port()
    text = directory_config.slapd_conf(DOMAIN)
    for inside, here in (
        (f"{directory_config.TLS_DIRECTORY}/tls.crt", certificate.certificate_file),
        (f"{directory_config.TLS_DIRECTORY}/tls.key", certificate.key_file),
        (f"{directory_config.TLS_DIRECTORY}/{directory_config.CA}", authority.ca_file),
        (directory_config.SECRETS_DIRECTORY, secrets),
        (directory_config.DATA_DIRECTORY, data),
        (directory_config.IMAGE_DIRECTORY, SCHEMA),
    ):
        assert inside in text
        text = text.replace(inside, str(here))
    config = folder / "slapd.conf"
    config.write_text(text)
    log = folder / "slapd.log"
    command: list[str | Path] = ["/usr/sbin/slapd", "-d", "256", "-f", config, "-h", f"ldaps://127.0.0.1:{port}/"]
    with running(command, log, ready=lambda: listens(port), seconds=60):
        yield OpenLdap(f"ldaps://127.0.0.1:{port}", authority.ca_file, folder, log)
