"""Logins on nodes from the environment's own directory: variables of `directory_login` and `os_hardening`."""

from typing import Any

from refsys.infra.environment import Environment
from refsys.infra.pki import Authority
from refsys.platform.components import directory_config
from refsys.platform.components.directory import directory_host
from refsys.platform.components.names import LDAPS_NODE_PORT
from refsys.platform.components.realm import NODE_ADMIN, NODE_LOGIN


def names(environment: Environment) -> list[str]:
    """Users who may log in on nodes; users of an outside directory are not among them."""
    groups = set(_groups(environment, NODE_LOGIN))
    return [user.name for user in environment.users if groups & set(user.groups)]


def variables(environment: Environment, authority: Authority) -> dict[str, Any]:
    """The roles' variables that are no secret; nothing where nobody logs in from the directory."""
    users, domain = names(environment), environment.domain
    if not users:
        return {}
    return {
        "directory_login_uri": f"ldaps://{directory_host(domain)}:{LDAPS_NODE_PORT}",
        "directory_login_ca_pem": authority.ca_pem,
        "directory_login_bind": directory_config.account("sssd", domain),
        "directory_login_users": directory_config.people(domain),
        "directory_login_groups": directory_config.groups(domain),
        "directory_login_allowed_groups": _groups(environment, NODE_LOGIN),
        "directory_login_sudo_groups": _groups(environment, NODE_LOGIN, NODE_ADMIN),
        "os_hardening_directory": True,
        "os_hardening_ssh_users": users,
    }


def _groups(environment: Environment, *roles: str) -> list[str]:
    return [group.name for group in environment.groups if set(roles) <= set(group.roles)]
