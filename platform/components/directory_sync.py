"""Make the directory have the declared users and groups; runs in a pod of the `services` image.

Entries with the description of `DECLARED_MARK` are kept as the file says, and removed with it; entries that an operator
made stay, also in declared groups. Passwords are set once, when a user is made, and must then be changed.

It stands alone (the image has `ldap3`, not this package) and takes environment variables: `DIRECTORY_URL`,
`DIRECTORY_CA_FILE`, `DIRECTORY_FILE` (JSON: what `people.wanted` returns), `DIRECTORY_PASSWORDS_FILE` (JSON:
`administrator`, `accounts` and `users`, name to password) and `MUST_CHANGE_FILE`, where it writes the names of those
whose password is still the first one.
"""

import json
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ldap3 import BASE, LEVEL, MODIFY_REPLACE, NONE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException, LDAPInvalidCredentialsResult, LDAPNoSuchObjectResult

Entry = dict[str, Any]
CONNECT_SECONDS = 60


class Directory:
    """One directory, as its administrator."""

    def __init__(self, connection: Connection, wanted: Entry) -> None:
        """`wanted` is what the file says."""
        self._connection = connection
        self._wanted = wanted

    def apply(self, accounts: dict[str, str], users: dict[str, str]) -> list[str]:
        """Make everything; return the users who have not yet changed their first password."""
        wanted = self._wanted
        for entry in wanted["base"]:
            self._keep(entry)
        for entry in wanted["accounts"]:
            password = accounts[entry["cn"][0]]
            if not self._keep(entry, {"userPassword": [password]}):
                self._set_password(entry["dn"], password)
        for entry in wanted["users"]:
            self._keep(entry, {"userPassword": [users[entry["uid"][0]]], "pwdReset": ["TRUE"]})
        for entry in wanted["groups"]:
            self._keep(self._with_members_of_others(entry))
        declared = {entry["dn"].lower() for entry in (*wanted["users"], *wanted["groups"])}
        for place in ("people", "groups_in"):
            self._remove_undeclared(wanted[place], declared)
        return [entry["uid"][0] for entry in wanted["users"] if self._must_change(entry["dn"])]

    def _keep(self, wanted: Entry, at_first: Entry | None = None) -> bool:
        """Make an entry be as `wanted` in the attributes that it names; return whether it was made, with `at_first`."""
        attributes = {name: values for name, values in wanted.items() if name != "dn"}
        present = self._read(wanted["dn"], list(attributes))
        if present is None:
            filled = {name: values for name, values in {**attributes, **(at_first or {})}.items() if values}
            self._connection.add(wanted["dn"], attributes=filled)
            _say("entry made", entry=wanted["dn"])
            return True
        changed = {name: values for name, values in attributes.items() if _other(present.get(name, []), values)}
        if changed:
            self._change(wanted["dn"], changed)
            _say("entry changed", entry=wanted["dn"], attributes=sorted(changed))
        return False

    def _with_members_of_others(self, group: Entry) -> Entry:
        """Add the members of a group that are no declared users: they are an operator's."""
        present = self._read(group["dn"], ["member"]) or {}
        place, declared = self._wanted["people"].lower(), self._declared(self._wanted["people"])
        others = [
            member
            for member in map(_text, present.get("member", []))
            if member.lower().endswith(f",{place}") and member.lower() not in declared
        ]
        return {**group, "member": sorted({*group["member"], *others})}

    def _declared(self, place: str) -> set[str]:
        query = f"(description={self._wanted['mark']})"
        try:
            self._connection.search(place, query, LEVEL, attributes=["1.1"])
        except LDAPNoSuchObjectResult:
            return set()
        return {str(each["dn"]).lower() for each in self._connection.response}

    def _remove_undeclared(self, place: str, declared: set[str]) -> None:
        for dn in sorted(self._declared(place) - declared):
            self._connection.delete(dn)
            _say("entry removed", entry=dn)

    def _must_change(self, dn: str) -> bool:
        return "TRUE" in map(_text, (self._read(dn, ["pwdReset"]) or {}).get("pwdReset", []))

    def _set_password(self, dn: str, password: str) -> None:
        """Set a program's password where it is another one: a new hash of the same would be a change."""
        server = self._connection.server
        try:
            with Connection(server, dn, password, auto_bind=True, raise_exceptions=True):
                return
        except LDAPInvalidCredentialsResult:
            self._change(dn, {"userPassword": [password]})
            _say("password of an account set", entry=dn)

    def _read(self, dn: str, attributes: list[str]) -> Entry | None:
        try:
            self._connection.search(dn, "(objectClass=*)", BASE, attributes=attributes)
        except LDAPNoSuchObjectResult:
            return None
        values = self._connection.response[0]["attributes"]
        return {name: found if isinstance(found, list) else [found] for name, found in values.items()}

    def _change(self, dn: str, attributes: Entry) -> None:
        self._connection.modify(dn, {name: [(MODIFY_REPLACE, values)] for name, values in attributes.items()})


def _other(present: Iterable[Any], wanted: Iterable[str]) -> bool:
    return set(map(_text, present)) != set(wanted)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value).upper() if value in (True, False) else str(value)


def connected(url: str, ca_file: str, dn: str, password: str) -> Connection:
    """Return a connection as `dn`; a server that is just starting gets some time."""
    tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=ca_file, version=ssl.PROTOCOL_TLS_CLIENT)
    server = Server(url, tls=tls, get_info=NONE, connect_timeout=5)
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return Connection(server, dn, password, auto_bind=True, raise_exceptions=True, receive_timeout=30)
        except LDAPInvalidCredentialsResult:
            raise
        except LDAPException:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def main() -> int:
    """Apply the file; 0 when the directory has it, 1 with the reason otherwise."""
    wanted, passwords = _read_json("DIRECTORY_FILE"), _read_json("DIRECTORY_PASSWORDS_FILE")
    url = os.environ["DIRECTORY_URL"]
    try:
        administrator, secret = wanted["administrator"], passwords["administrator"]
        with connected(url, os.environ["DIRECTORY_CA_FILE"], administrator, secret) as connection:
            must_change = Directory(connection, wanted).apply(passwords["accounts"], passwords["users"])
    except LDAPException as error:
        _say("the directory refused, or does not answer; the next run goes on from there", url=url, error=str(error))
        return 1
    Path(os.environ["MUST_CHANGE_FILE"]).write_text(json.dumps(must_change))
    _say("directory is as wanted", users=len(wanted["users"]), groups=len(wanted["groups"]))
    return 0


def _read_json(variable: str) -> Any:
    return json.loads(Path(os.environ[variable]).read_text())


def _say(message: str, **fields: object) -> None:
    log: Callable[[str], int] = sys.stdout.write
    log(json.dumps({"message": message, **fields}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
