"""Hosted applications in the realm: their roles, and clients for logins and for asking interfaces."""

from collections.abc import Sequence
from typing import Any

from refsys.platform.components.applications import CALLBACK, Hosted

MARK = "refsys.application"
"""Attribute of what belongs to an application; `realm_sync.py` removes what has one that is no longer there."""


def clients_of(applications: Sequence[Hosted]) -> list[str]:
    """Return the clients that have a secret."""
    logins = [each.login_client for each in applications]
    return [*logins, *(each.service_client for each in applications if each.interfaces)]


def roles_of(applications: Sequence[Hosted]) -> list[dict[str, Any]]:
    """Return the roles that applications bring."""
    return [
        {"name": role.name, "description": role.description, "attributes": {MARK: [each.name]}}
        for each in applications
        for role in each.roles
    ]


def given_to(group: str, applications: Sequence[Hosted]) -> list[str]:
    """Return the roles of applications that a group gives."""
    return [role.name for each in applications for role in each.roles if group in role.groups]


def scopes_of(applications: Sequence[Hosted]) -> dict[str, list[str]]:
    """Return which roles the clients' tokens may name: of logins the application's own alone."""
    scopes = {each.login_client: [role.name for role in each.roles] for each in applications}
    return scopes | {each.service_client: each.service_roles for each in applications if each.interfaces}


def application_clients(applications: Sequence[Hosted], domain: str, audience: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the clients; their secrets come apart."""
    clients = []
    for each in applications:
        clients.append(_login(each, domain, audience))
        if each.interfaces:
            clients.append(_service(each, audience))
    return clients


def _login(application: Hosted, domain: str, audience: dict[str, Any]) -> dict[str, Any]:
    """By which the gateway logs users in: the code flow with PKCE, back to one address."""
    return _confidential(application, application.login_client, "login in a browser", audience) | {
        "standardFlowEnabled": True,
        "baseUrl": application.url(domain),
        "redirectUris": [f"{application.url(domain)}{CALLBACK}"],
        "attributes": {
            MARK: application.name,
            "pkce.code.challenge.method": "S256",
            "oauth2.device.authorization.grant.enabled": "false",
        },
    }


def _service(application: Hosted, audience: dict[str, Any]) -> dict[str, Any]:
    """As which the application itself asks interfaces."""
    return _confidential(application, application.service_client, "its own requests", audience) | {
        "serviceAccountsEnabled": True,
    }


def _confidential(application: Hosted, name: str, purpose: str, audience: dict[str, Any]) -> dict[str, Any]:
    return {
        "clientId": name,
        "name": application.title,
        "description": f"{application.title}: {purpose}",
        "protocol": "openid-connect",
        "enabled": True,
        "publicClient": False,
        "clientAuthenticatorType": "client-secret",
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "serviceAccountsEnabled": False,
        "directAccessGrantsEnabled": False,
        "fullScopeAllowed": False,
        "redirectUris": [],
        "webOrigins": [],
        "attributes": {MARK: application.name, "oauth2.device.authorization.grant.enabled": "false"},
        "protocolMappers": [audience],
    }
