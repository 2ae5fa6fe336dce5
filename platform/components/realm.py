"""The identity realm as data: what the realm job makes Keycloak have."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from refsys.platform.components.applications import Hosted
from refsys.platform.components.people import Federation, People
from refsys.platform.components.realm_applications import application_clients, given_to, roles_of, scopes_of
from refsys.platform.components.realm_flows import BROWSER_FLOW, DIRECT_FLOW, SECOND_FACTOR, flows

REALM = "refsys"
CLIENT = "refsys-cli"
AUDIENCE = "refsys"
DEMO_USER = "demo"

KUBERNETES_CLIENT = "kubectl"

PORTAL_CLIENT = "portal"
PORTAL_PATH = "/operations/v1/portal"
PORTAL_CALLBACK = f"{PORTAL_PATH}/callback"

OPERATOR = "operator"
SERVICE_ROLES = {
    "prip-s1": "Search and download products of Sentinel-1",
    "prip-s2": "Search and download products of Sentinel-2",
    "prip-s3": "Search and download products of Sentinel-3",
    "prip-user": "Search and download all products, subscribe to them, order them",
    "cadip-user": "Search and download the files of downlink sessions",
    "ingestor-user": "Upload auxiliary files and follow what becomes of them",
    "ondemand-user": "Order production of products, and follow it",
    OPERATOR: "See the timelines of products and act on failures",
}
KUBERNETES_ROLES = {
    "kubernetes-viewer": "See everything in the cluster but Secrets",
    "kubernetes-operator": "Also end, scale and move what runs in the cluster",
    "kubernetes-admin": "Also change what runs in the cluster",
}
NODE_LOGIN, NODE_ADMIN = "node-login", "node-admin"
NODE_ROLES = {
    NODE_LOGIN: "Log in to nodes by SSH",
    NODE_ADMIN: "Become root on nodes",
}
ROLES = SERVICE_ROLES | KUBERNETES_ROLES | NODE_ROLES
"""All that a group may give."""
PRIVILEGED = frozenset({OPERATOR, *KUBERNETES_ROLES, *NODE_ROLES})
"""Whoever has one of them must show a second factor."""

ACCESS_TOKEN_SECONDS = 600
REFRESH_TOKEN_SECONDS = 3600
SESSION_SECONDS = 36_000


class Endpoints(NamedTuple):
    """Addresses of the realm's protocol endpoints."""

    issuer: str
    token_url: str
    """For users, through the gateway."""
    jwks_url: str
    """For services, inside the cluster."""


def issuer_of(domain: str) -> str:
    """Return the issuer of tokens at `auth.<domain>`."""
    return f"https://auth.{domain}/realms/{REALM}"


def portal_url(domain: str) -> str:
    """Return the address of the operators' page."""
    return f"https://operations.{domain}{PORTAL_PATH}"


def endpoints(domain: str, internal_url: str) -> Endpoints:
    """Return the endpoints of the realm at `auth.<domain>`; services reach Keycloak at `internal_url`."""
    issuer = issuer_of(domain)
    protocol = "protocol/openid-connect"
    return Endpoints(issuer, f"{issuer}/{protocol}/token", f"{internal_url}/realms/{REALM}/{protocol}/certs")


def realm(
    domain: str,
    people: People,
    federation: Federation,
    *,
    demo_user: bool,
    applications: Sequence[Hosted] = (),
) -> dict[str, Any]:
    """Return the realm in Keycloak's own representation, without any password.

    Beside it are `flows`, `groups`, `scopes`, `service_roles` and `federation`, as `realm_sync.py` takes them. With
    `demo_user` there is a user `demo` with all roles of services and applications, and the command-line client may
    exchange a password for a token; without it that client uses the device authorization grant (RFC 8628). Secrets of
    clients come apart, too.
    """
    roles = ROLES | {SECOND_FACTOR: "Must show a second factor"}
    own = roles_of(applications)
    of_users = [*SERVICE_ROLES, *(role["name"] for role in own)]
    return {
        "realm": REALM,
        "displayName": "Copernicus Reference System",
        "enabled": True,
        "sslRequired": "all",
        "registrationAllowed": False,
        "resetPasswordAllowed": False,
        "editUsernameAllowed": False,
        "rememberMe": False,
        "loginWithEmailAllowed": False,
        "duplicateEmailsAllowed": False,
        "accessTokenLifespan": ACCESS_TOKEN_SECONDS,
        "ssoSessionIdleTimeout": REFRESH_TOKEN_SECONDS,
        "ssoSessionMaxLifespan": SESSION_SECONDS,
        "revokeRefreshToken": False,
        "defaultSignatureAlgorithm": "RS256",
        "passwordPolicy": "length(12) and maxLength(128) and notUsername and notEmail",
        "bruteForceProtected": True,
        "permanentLockout": False,
        "failureFactor": 5,
        "waitIncrementSeconds": 300,
        "maxFailureWaitSeconds": 3600,
        "maxDeltaTimeSeconds": 3600,
        "otpPolicyType": "totp",
        "otpPolicyAlgorithm": "HmacSHA1",
        "otpPolicyDigits": 6,
        "otpPolicyPeriod": 30,
        "otpPolicyLookAheadWindow": 1,
        "otpPolicyCodeReusable": False,
        "browserFlow": BROWSER_FLOW,
        "directGrantFlow": DIRECT_FLOW,
        "eventsEnabled": True,
        "eventsExpiration": 2_592_000,
        "adminEventsEnabled": True,
        "roles": {"realm": [*({"name": name, "description": text} for name, text in roles.items()), *own]},
        "clients": [
            _client(password_grant=demo_user),
            _kubernetes_client(),
            _portal_client(domain),
            *application_clients(applications, domain, audience()),
        ],
        "users": [_demo_user(domain, own)] if demo_user else [],
        "flows": flows(),
        "groups": {
            group.name: _with_second_factor([*group.roles, *given_to(group.name, applications)])
            for group in people.groups
        },
        "federation": _federation(federation),
        "scopes": {
            CLIENT: of_users,
            KUBERNETES_CLIENT: list(KUBERNETES_ROLES),
            PORTAL_CLIENT: [OPERATOR],
            **scopes_of(applications),
        },
        "service_roles": {each.service_client: each.service_roles for each in applications if each.interfaces},
    }


def _with_second_factor(roles: Sequence[str]) -> list[str]:
    return [*roles, *([SECOND_FACTOR] if PRIVILEGED & set(roles) else [])]


def _public_client(name: str, title: str, text: str) -> dict[str, Any]:
    """A client without a secret; its tokens name no other roles than those of its scope."""
    return {
        "clientId": name,
        "name": title,
        "description": text,
        "protocol": "openid-connect",
        "enabled": True,
        "publicClient": True,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "serviceAccountsEnabled": False,
        "directAccessGrantsEnabled": False,
        "fullScopeAllowed": False,
        "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
    }


def _client(*, password_grant: bool) -> dict[str, Any]:
    made = _public_client(CLIENT, "Command line", "Public client of command-line and scripted users")
    return made | {
        "directAccessGrantsEnabled": password_grant,
        "protocolMappers": [audience()],
    }


def audience() -> dict[str, Any]:
    """Return the mapper that makes tokens for the services."""
    return {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {
            "included.custom.audience": AUDIENCE,
            "access.token.claim": "true",
            "id.token.claim": "false",
            "introspection.token.claim": "true",
        },
    }


def _portal_client(domain: str) -> dict[str, Any]:
    """The client of pages, whose secret only the gateway has: the code flow with PKCE, back to one address."""
    return {
        "clientId": PORTAL_CLIENT,
        "name": "Portal",
        "description": "Operators' page, by login in a browser",
        "protocol": "openid-connect",
        "enabled": True,
        "publicClient": False,
        "clientAuthenticatorType": "client-secret",
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "serviceAccountsEnabled": False,
        "directAccessGrantsEnabled": False,
        "fullScopeAllowed": False,
        "baseUrl": portal_url(domain),
        "redirectUris": [f"https://operations.{domain}{PORTAL_CALLBACK}"],
        "webOrigins": [],
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "oauth2.device.authorization.grant.enabled": "false",
        },
        "protocolMappers": [audience()],
    }


def _kubernetes_client() -> dict[str, Any]:
    made = _public_client(KUBERNETES_CLIENT, "kubectl", "Operators' access to the cluster")
    return made | {
        "protocolMappers": [
            {
                "name": "groups",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-usermodel-realm-role-mapper",
                "config": {
                    "claim.name": "groups",
                    "jsonType.label": "String",
                    "multivalued": "true",
                    "id.token.claim": "true",
                    "access.token.claim": "false",
                    "introspection.token.claim": "false",
                    "userinfo.token.claim": "false",
                },
            }
        ],
    }


def _federation(directory: Federation) -> dict[str, Any]:
    """The directory as Keycloak's component, with its mappers; its password comes apart."""
    settings = {
        "enabled": "true",
        "priority": "0",
        "vendor": "rhds" if directory.freeipa else "other",
        "connectionUrl": directory.url,
        "useTruststoreSpi": "always",
        "startTls": "false",
        "authType": "simple",
        "bindDn": directory.bind,
        "usersDn": directory.users,
        "searchScope": "1",
        "usernameLDAPAttribute": "uid",
        "rdnLDAPAttribute": "uid",
        "uuidLDAPAttribute": "ipaUniqueID" if directory.freeipa else "entryUUID",
        "userObjectClasses": "inetOrgPerson",
        "editMode": "WRITABLE" if directory.writable else "READ_ONLY",
        "usePasswordModifyExtendedOp": str(directory.writable).lower(),
        "validatePasswordPolicy": str(directory.writable).lower(),
        "syncRegistrations": "false",
        "importEnabled": "true",
        "trustEmail": "true",
        "pagination": "true",
        "connectionPooling": "true",
        "connectionTimeout": "5000",
        "readTimeout": "10000",
        "fullSyncPeriod": "3600",
        "changedSyncPeriod": "-1",
        "cachePolicy": "MAX_LIFESPAN",
        "maxLifespan": "60000",
        "allowKerberosAuthentication": "false",
    }
    attributes = {"username": "uid", "first name": "givenName", "last name": "sn", "email": "mail"}
    fields = {"username": "username", "first name": "firstName", "last name": "lastName", "email": "email"}
    mappers = {
        name: {
            "kind": "user-attribute-ldap-mapper",
            "config": {
                "ldap.attribute": attribute,
                "user.model.attribute": fields[name],
                "read.only": "true",
                "always.read.value.from.ldap": "false",
                "is.mandatory.in.ldap": "true",
            },
        }
        for name, attribute in attributes.items()
    }
    groups = {
        "groups.dn": directory.groups,
        "groups.path": "/",
        "group.name.ldap.attribute": "cn",
        "group.object.classes": "groupOfNames",
        "membership.ldap.attribute": "member",
        "membership.attribute.type": "DN",
        "membership.user.ldap.attribute": "uid",
        "mode": "READ_ONLY",
        "user.roles.retrieve.strategy": "LOAD_GROUPS_BY_MEMBER_ATTRIBUTE",
        "preserve.group.inheritance": "false",
        "ignore.missing.groups": "false",
        "drop.non.existing.groups.during.sync": "true",
    }
    mappers["groups"] = {"kind": "group-ldap-mapper", "config": groups}
    return {"name": "directory", "config": settings, "mappers": mappers}


def _demo_user(domain: str, own: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # Keycloak refuses password grants to a user whose profile is not complete.
    return {
        "username": DEMO_USER,
        "enabled": True,
        "email": f"{DEMO_USER}@{domain}",
        "emailVerified": True,
        "firstName": "Demo",
        "lastName": "User",
        # Not the role of a second factor: programs play this user.
        "realmRoles": [
            *("prip-user", "cadip-user", "ingestor-user", "ondemand-user", OPERATOR),
            *(role["name"] for role in own),
        ],
    }
