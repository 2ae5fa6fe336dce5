"""Who uses an environment: users, groups and what groups may, as the stack's config declares them."""

import re
import zlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from refsys.infra.model import Strict
from refsys.platform.components.directory_config import FIRST_ID, IDS
from refsys.platform.components.realm import ROLES

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{1,30}$")]
Number = Annotated[
    int,
    Field(
        ge=FIRST_ID, lt=FIRST_ID + IDS, description="number on nodes; default made from the name, and always the same"
    ),
]
TAKEN = frozenset({"root", "refsys", "breakglass", "demo", "nobody"})
"""Names of accounts that are there without a directory."""
_KEY = re.compile(
    r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com"
    r"|ssh-rsa) [A-Za-z0-9+/]{40,}={0,3}( [\x20-\x7e]+)?$"
)


class Group(Strict):
    """A group of users, and the roles that it gives them."""

    name: Name
    roles: list[str] = Field(min_length=1, description="docs/security/identity.md has all roles")
    number: Number = 0

    @field_validator("roles")
    @classmethod
    def _are_known(cls, value: list[str]) -> list[str]:
        if unknown := sorted(set(value) - set(ROLES)):
            raise ValueError(f"there is no role {', '.join(unknown)}; the roles are {', '.join(ROLES)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _numbered(cls, values: object) -> object:
        return _with_number(values)


class User(Strict):
    """A user of the environment's own directory; the first password is made at random."""

    name: Name = Field(description="login name")
    given_name: str = Field(min_length=1, max_length=64)
    family_name: str = Field(min_length=1, max_length=64)
    mail: str = Field(pattern=r"^[^@\s<>\"(),:;]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
    groups: list[str] = Field(min_length=1)
    ssh_keys: list[str] = Field(default=[], description="public keys for logins on nodes, one line each")
    number: Number = 0

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value in TAKEN:
            raise ValueError(f"{value} is an account of every environment; take another name")
        return value

    @field_validator("ssh_keys")
    @classmethod
    def _are_public_keys(cls, value: list[str]) -> list[str]:
        for key in value:
            if "PRIVATE KEY" in key:
                raise ValueError("this is a private key; make it worthless, and give the line of its .pub file")
            if not _KEY.match(key.strip()):
                raise ValueError("must be the line of a .pub file of OpenSSH, such as 'ssh-ed25519 AAAA… name'")
        return [key.strip() for key in value]

    @model_validator(mode="before")
    @classmethod
    def _numbered(cls, values: object) -> object:
        return _with_number(values)


class OutsideDirectory(Strict):
    """A directory that is there already, read in place of an own one."""

    url: str = Field(pattern=r"^ldaps://[^/?#:]+(:\d{1,5})?$", description="TLS only")
    kind: Literal["openldap", "freeipa"] = "openldap"
    users: str = Field(pattern=r"=", description="where users are: ou=people,dc=example,dc=org")
    groups: str = Field(pattern=r"=", description="where groups are: ou=groups,dc=example,dc=org")
    bind: str = Field(pattern=r"=", description="entry of an account that may read both")
    password: SecretStr = Field(
        description="its password, encrypted: pulumi config set --secret --path refsys:directory.password"
    )
    ca_file_pem: str | None = Field(default=None, description="its authority; without, the environment's own")


def fit(users: Sequence[User], groups: Sequence[Group], directory: OutsideDirectory | None) -> None:
    """Check users and groups together.

    Raises:
        ValueError: says what does not fit, and how to put it right.
    """
    names = {group.name for group in groups}
    _once("user", [user.name for user in users])
    _once("group", [group.name for group in groups])
    _numbered("users", [(user.number, user.name) for user in users])
    _numbered("groups", [(group.number, group.name) for group in groups])
    for user in users:
        if unknown := sorted(set(user.groups) - names):
            known = ", ".join(sorted(names))
            raise ValueError(f"user {user.name} is in {', '.join(unknown)}, but the groups are {known}")
    if directory and users:
        raise ValueError("users come from the outside directory; declare them there, and only groups here")


def number_of(name: str) -> int:
    """Return the number of a user or group on nodes, made from its name."""
    return FIRST_ID + zlib.crc32(name.encode()) % IDS


def _with_number(values: object) -> object:
    if isinstance(values, dict) and not values.get("number"):
        return {**values, "number": number_of(str(values.get("name", "")))}
    return values


def _once(what: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} {', '.join(twice)} is declared twice")


def _numbered(what: str, numbers: Sequence[tuple[int, str]]) -> None:
    first: dict[int, str] = {}
    for number, name in numbers:
        if first.setdefault(number, name) != name:
            raise ValueError(f"{what} {first[number]} and {name} have the same number; give one of them a `number`")


DEFAULT_GROUPS = (
    Group(name="users", roles=["prip-user", "cadip-user"]),
    Group(name="uploaders", roles=["ingestor-user"]),
    Group(name="producers", roles=["prip-user", "ondemand-user"]),
    Group(name="viewers", roles=["kubernetes-viewer"]),
    Group(name="operators", roles=["prip-user", "cadip-user", "operator", "kubernetes-operator", "node-login"]),
    Group(
        name="administrators",
        roles=["prip-user", "cadip-user", "operator", "kubernetes-admin", "node-login", "node-admin"],
    ),
)
