"""The directory as an environment has it, on a real slapd: what is declared is kept, and who may do what."""

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ldap3 import BASE, MODIFY_ADD, MODIFY_REPLACE, SUBTREE, Connection
from ldap3.core.exceptions import (
    LDAPConstraintViolationResult,
    LDAPException,
    LDAPInsufficientAccessRightsResult,
    LDAPInvalidCredentialsResult,
    LDAPNoSuchObjectResult,
)
from tests.means.certificates import Authority
from tests.means.openldap import ANNA, DOMAIN, GROUPS, PEOPLE, OpenLdap, first_password, openldap

from refsys.platform.components.directory_config import WRONG_PASSWORDS, base_of, groups, people
from refsys.platform.components.people import People

ANNA_DN, BERT_DN = (f"uid={name},{people(DOMAIN)}" for name in ("anna", "bert"))
NEW = "a-new-long-password"


@pytest.fixture
def directory(tmp_path: Any, authority: Authority) -> Iterator[OpenLdap]:
    with openldap(tmp_path / "openldap", authority) as running:
        running.keep()
        yield running


def raw(directory: OpenLdap, dn: str, *attributes: str) -> dict[str, list[bytes]]:
    with directory.administrator() as connection:
        connection.search(dn, "(objectClass=*)", BASE, attributes=list(attributes))
        return dict(connection.response[0]["raw_attributes"])


def read(directory: OpenLdap, dn: str, *attributes: str) -> dict[str, list[str]]:
    found = raw(directory, dn, *attributes)
    return {name: sorted(value.decode() for value in values) for name, values in found.items()}


def seen(connection: Connection) -> dict[str, Any]:
    """What an answer shows of the entry."""
    return {name: values for name, values in connection.response[0]["attributes"].items() if values}


def names(directory: OpenLdap) -> set[str]:
    with directory.administrator() as connection:
        connection.search(base_of(DOMAIN), "(objectClass=inetOrgPerson)", SUBTREE, attributes=["uid"])
        return {entry["raw_attributes"]["uid"][0].decode() for entry in connection.response}


def test_declared_users_and_groups_are_there_and_a_second_run_changes_nothing(
    directory: OpenLdap, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = read(directory, ANNA_DN, "cn", "mail", "uidNumber", "sshPublicKey", "memberOf", "loginShell")
    assert anna["cn"] == ["Anna Ångström"]
    assert anna["uidNumber"] == ["30101"]
    assert anna["sshPublicKey"] == list(ANNA.ssh_keys)
    assert anna["memberOf"] == [f"cn=operators,{groups(DOMAIN)}", f"cn=users,{groups(DOMAIN)}"]
    capsys.readouterr()
    assert directory.keep() == ["anna", "bert"]
    assert capsys.readouterr().out == ""


def test_only_what_was_declared_is_changed_and_removed(directory: OpenLdap) -> None:
    by_hand = f"uid=hand,{people(DOMAIN)}"
    with directory.administrator() as connection:
        connection.add(by_hand, ["inetOrgPerson"], {"cn": "By Hand", "sn": "Hand", "uid": "hand"})
        connection.modify(f"cn=users,{groups(DOMAIN)}", {"member": [(MODIFY_ADD, [by_hand])]})
        connection.modify(ANNA_DN, {"mail": [(MODIFY_REPLACE, ["changed@example.org"])]})
    fewer = People([replace(ANNA, groups=["users"])], [*GROUPS[:2]])
    directory.keep(fewer)
    assert names(directory) == {"anna", "hand"}
    assert read(directory, ANNA_DN, "mail")["mail"] == ["anna@example.org"]
    assert read(directory, f"cn=users,{groups(DOMAIN)}", "member")["member"] == sorted(
        [groups(DOMAIN), ANNA_DN, by_hand]
    )
    assert read(directory, f"cn=operators,{groups(DOMAIN)}", "member")["member"] == [groups(DOMAIN)]
    with pytest.raises(LDAPNoSuchObjectResult):
        read(directory, f"cn=administrators,{groups(DOMAIN)}", "cn")
    with pytest.raises(LDAPInvalidCredentialsResult):
        directory.user("bert")


def test_the_first_password_must_be_changed_and_stays_changed(directory: OpenLdap) -> None:
    with directory.user("anna") as anna:
        with pytest.raises(LDAPException):
            anna.search(ANNA_DN, "(objectClass=*)", BASE, attributes=["cn"])
        assert anna.extend.standard.modify_password(ANNA_DN, first_password("anna"), NEW)
    assert directory.keep() == ["bert"]
    with directory.user("anna", NEW) as anna:
        anna.search(ANNA_DN, "(objectClass=*)", BASE, attributes=["cn", "userPassword"])
        assert set(seen(anna)) == {"cn"}
    with pytest.raises(LDAPInvalidCredentialsResult):
        directory.user("anna")


@pytest.mark.parametrize("password", ["short", first_password("anna")])
def test_weak_and_used_passwords_are_refused(directory: OpenLdap, password: str) -> None:
    with directory.user("anna") as anna, pytest.raises(LDAPConstraintViolationResult):
        anna.extend.standard.modify_password(ANNA_DN, first_password("anna"), password)


def test_passwords_are_kept_as_slow_hashes(directory: OpenLdap) -> None:
    for dn in (ANNA_DN, BERT_DN):
        # Octets, not text: the directory leaves one without a meaning behind the hash.
        (kept,) = raw(directory, dn, "userPassword")["userPassword"]
        assert re.match(rb"\{ARGON2\}\$argon2id?\$v=\d+\$m=\d+,t=\d+,p=\d+\$[\w+/]{22}\$[\w+/]{43}", kept)
    contents = b"".join(file.read_bytes() for file in (directory.folder / "data").iterdir())
    assert first_password("anna").encode() not in contents
    assert first_password("anna") not in directory.log.read_text()


def test_keycloak_reads_users_and_replaces_passwords_but_reads_none(directory: OpenLdap) -> None:
    with directory.program("keycloak") as keycloak:
        keycloak.search(people(DOMAIN), "(uid=anna)", SUBTREE, attributes=["*", "pwdHistory", "entryUUID"])
        found = seen(keycloak)
        assert {"mail", "entryUUID"} <= set(found)
        assert not {"userPassword", "pwdHistory"} & set(found)
        for changed in ({"mail": ["x@example.org"]}, {"uidNumber": ["0"]}, {"pwdReset": ["FALSE"]}):
            with pytest.raises(LDAPInsufficientAccessRightsResult):
                keycloak.modify(ANNA_DN, {name: [(MODIFY_REPLACE, values)] for name, values in changed.items()})
        with pytest.raises(LDAPInsufficientAccessRightsResult):
            keycloak.modify(f"cn=administrators,{groups(DOMAIN)}", {"member": [(MODIFY_ADD, [BERT_DN])]})
        keycloak.extend.standard.modify_password(ANNA_DN, new_password=NEW)
    assert directory.keep() == ["bert"]
    directory.user("anna", NEW)


def test_sssd_only_reads(directory: OpenLdap) -> None:
    with directory.program("sssd") as sssd:
        sssd.search(groups(DOMAIN), "(cn=operators)", SUBTREE, attributes=["member", "gidNumber"])
        assert len(sssd.response) == 1
        with pytest.raises(LDAPInsufficientAccessRightsResult):
            sssd.modify(ANNA_DN, {"userPassword": [(MODIFY_REPLACE, [NEW])]})


def test_users_see_themselves_alone_and_change_nothing_but_their_password(directory: OpenLdap) -> None:
    with directory.user("bert") as bert:
        bert.extend.standard.modify_password(BERT_DN, first_password("bert"), NEW)
        with pytest.raises(LDAPNoSuchObjectResult):
            bert.search(ANNA_DN, "(objectClass=*)", BASE, attributes=["cn"])
        with pytest.raises(LDAPNoSuchObjectResult):
            bert.search(groups(DOMAIN), "(objectClass=*)", SUBTREE, attributes=["member"])
        with pytest.raises(LDAPInsufficientAccessRightsResult):
            bert.modify(BERT_DN, {"uidNumber": [(MODIFY_REPLACE, ["0"])]})
        with pytest.raises(LDAPException):
            bert.modify(f"cn=operators,{groups(DOMAIN)}", {"member": [(MODIFY_ADD, [BERT_DN])]})


def test_nobody_is_known_without_a_password(directory: OpenLdap) -> None:
    for dn, password in (("", ""), (ANNA_DN, "")):
        with pytest.raises((LDAPException, ValueError)):
            directory.connect(dn, password)


def test_guessing_locks_the_account_but_not_those_of_programs(directory: OpenLdap) -> None:
    for _ in range(WRONG_PASSWORDS):
        for dn in (ANNA_DN, f"cn=sssd,ou=services,{base_of(DOMAIN)}"):
            with pytest.raises(LDAPInvalidCredentialsResult):
                directory.connect(dn, "wrong")
    with pytest.raises(LDAPInvalidCredentialsResult):
        directory.user("anna")
    with directory.program("sssd"), directory.user("bert"):
        pass


def test_only_new_tls_is_spoken(directory: OpenLdap) -> None:
    host, port = directory.url.removeprefix("ldaps://").split(":")
    old = ssl.create_default_context(cafile=str(directory.ca_file))
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(plain, server_hostname="localhost")


def test_a_new_password_of_a_program_is_set(directory: OpenLdap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.means.openldap.account_password", lambda name: f"changed-{name}")
    directory.keep(PEOPLE)
    with directory.program("keycloak"):
        pass
