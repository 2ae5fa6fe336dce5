"""Users and groups of an environment, as the components take them, and as entries of the directory (RFC 4519)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from refsys.platform.components.directory_config import (
    DECLARED,
    LOCK_SECONDS,
    PASSWORD_MIN_LENGTH,
    WRONG_PASSWORDS,
    account,
    administrator,
    base_of,
    groups,
    people,
    policy,
)

ACCOUNTS = ("keycloak", "sssd")
"""Programs that read the directory."""


@dataclass(frozen=True)
class Person:
    """A user; `number` is his on nodes."""

    name: str
    given_name: str
    family_name: str
    mail: str
    groups: Sequence[str]
    ssh_keys: Sequence[str]
    number: int


@dataclass(frozen=True)
class Group:
    """A group, its number on nodes, and the roles that it gives."""

    name: str
    number: int
    roles: Sequence[str]


@dataclass(frozen=True)
class Federation:
    """A directory that Keycloak reads users and groups from."""

    url: str
    users: str
    groups: str
    bind: str
    freeipa: bool = False
    writable: bool = False
    """Users change their passwords through Keycloak."""


@dataclass(frozen=True)
class People:
    """Who uses an environment."""

    people: Sequence[Person] = ()
    groups: Sequence[Group] = field(default_factory=tuple)


def wanted(domain: str, of: People) -> dict[str, Any]:
    """Return what the directory of `domain` must have, as `directory_sync.py` takes it."""
    return {
        "administrator": administrator(domain),
        "mark": DECLARED,
        "people": people(domain),
        "groups_in": groups(domain),
        "base": _base(domain),
        "accounts": [_account(name, domain) for name in ACCOUNTS],
        "users": [_user(person, domain) for person in of.people],
        "groups": [_group(group, of.people, domain) for group in of.groups],
    }


def _base(domain: str) -> list[dict[str, Any]]:
    base = base_of(domain)
    first = domain.partition(".")[0]
    top = {"dn": base, "objectClass": ["dcObject", "organization"], "dc": [first], "o": [domain]}
    units = [
        {"dn": f"ou={name},{base}", "objectClass": ["organizationalUnit"], "ou": [name]}
        for name in ("people", "groups", "services", "policies")
    ]
    return [top, *units, *_policies(domain)]


def _policies(domain: str) -> list[dict[str, Any]]:
    # draft-behera-ldap-password-policy. Programs' passwords are random: a lock would only let strangers stop them.
    common = {"objectClass": ["device", "pwdPolicy"], "pwdAttribute": ["userPassword"]}
    users = {
        "pwdMinLength": [str(PASSWORD_MIN_LENGTH)],
        "pwdCheckQuality": ["1"],
        "pwdInHistory": ["5"],
        "pwdMustChange": ["TRUE"],
        "pwdLockout": ["TRUE"],
        "pwdMaxFailure": [str(WRONG_PASSWORDS)],
        "pwdFailureCountInterval": [str(LOCK_SECONDS)],
        "pwdLockoutDuration": [str(LOCK_SECONDS)],
    }
    programs = {"pwdAllowUserChange": ["FALSE"]}
    return [
        {"dn": policy(name, domain), "cn": [name], **common, **more}
        for name, more in (("default", users), ("programs", programs))
    ]


def _account(name: str, domain: str) -> dict[str, Any]:
    return {
        "dn": account(name, domain),
        "objectClass": ["applicationProcess", "simpleSecurityObject"],
        "cn": [name],
        "pwdPolicySubentry": [policy("programs", domain)],
    }


def _user(person: Person, domain: str) -> dict[str, Any]:
    return {
        "dn": f"uid={person.name},{people(domain)}",
        "objectClass": ["inetOrgPerson", "posixAccount", "ldapPublicKey"],
        "uid": [person.name],
        "cn": [f"{person.given_name} {person.family_name}"],
        "givenName": [person.given_name],
        "sn": [person.family_name],
        "mail": [person.mail],
        "uidNumber": [str(person.number)],
        "gidNumber": [str(person.number)],
        "homeDirectory": [f"/home/{person.name}"],
        "loginShell": ["/bin/bash"],
        "sshPublicKey": list(person.ssh_keys),
        "description": [DECLARED],
    }


def _group(group: Group, members: Sequence[Person], domain: str) -> dict[str, Any]:
    place = groups(domain)
    inside = [f"uid={person.name},{people(domain)}" for person in members if group.name in person.groups]
    return {
        "dn": f"cn={group.name},{place}",
        "objectClass": ["groupOfNames", "posixGroup"],
        "cn": [group.name],
        "gidNumber": [str(group.number)],
        # A group must have a member; its place is one that nobody logs in as.
        "member": [place, *inside],
        "description": [DECLARED],
    }
