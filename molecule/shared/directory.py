"""A directory as an environment has it, for the scenario's node: its files, variables of the roles, and its entries."""

import json
import os
import sys
import tempfile
from typing import Any

from refsys.infra import paths
from refsys.platform.components import directory_config as config
from refsys.platform.components import directory_sync
from refsys.platform.components.people import ACCOUNTS, Group, People, Person, wanted

DOMAIN = "molecule.test"
HOST = f"directory.{DOMAIN}"
GROUPS = [
    Group("users", 30_001, ["prip-user"]),
    Group("operators", 30_002, ["node-login"]),
    Group("administrators", 30_003, ["node-login", "node-admin"]),
]


def files(certificate_pem: str, key_pem: str, ca_pem: str, administrator: str) -> dict[str, str]:
    """Files of the server, by their place."""
    schema = paths.CHECKOUT / "platform/images/files/openldap" / config.IMAGE_DIRECTORY.lstrip("/") / "posix.schema"
    return {
        "/etc/refsys/slapd.conf": config.slapd_conf(DOMAIN),
        f"{config.TLS_DIRECTORY}/tls.crt": certificate_pem,
        f"{config.TLS_DIRECTORY}/tls.key": key_pem,
        f"{config.TLS_DIRECTORY}/{config.CA}": ca_pem,
        f"{config.SECRETS_DIRECTORY}/administrator.conf": f"rootpw {administrator}\n",
        f"{config.IMAGE_DIRECTORY}/posix.schema": schema.read_text(),
    }


def variables(ca_pem: str, password: str) -> dict[str, Any]:
    """Variables of role `directory_login`."""
    return {
        "directory_login_uri": f"ldaps://{HOST}:6636",
        "directory_login_ca_pem": ca_pem,
        "directory_login_bind": config.account("sssd", DOMAIN),
        "directory_login_password": password,
        "directory_login_users": config.people(DOMAIN),
        "directory_login_groups": config.groups(DOMAIN),
        "directory_login_allowed_groups": ["operators", "administrators"],
        "directory_login_sudo_groups": ["administrators"],
    }


def main(address: str) -> None:
    """Make anna, who may become root, bert, who may log in, and clara, who may not."""
    values = json.loads(os.environ["DIRECTORY_VALUES"])
    groups = {"anna": "administrators", "bert": "operators", "clara": "users"}
    people = [
        Person(name, name.title(), "Tester", f"{name}@{DOMAIN}", [group], [values["public_key"]], 30_100 + number)
        for number, (name, group) in enumerate(groups.items())
    ]
    document = json.loads(json.dumps(wanted(DOMAIN, People(people, GROUPS))))
    # Logins of these tests don't change passwords first.
    for policy in document["base"]:
        policy.pop("pwdMustChange", None)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as ca_file:
        ca_file.write(values["ca_pem"])
        ca_file.flush()
        url = f"ldaps://{address}:6636"
        administrator = config.administrator(DOMAIN)
        with directory_sync.connected(url, ca_file.name, administrator, values["administrator"]) as connection:
            accounts = dict.fromkeys(ACCOUNTS, values["account"])
            directory_sync.Directory(connection, document).apply(accounts, dict.fromkeys(groups, values["user"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
