"""The identity realm as data: what the realm job makes Keycloak have."""

from typing import Any, NamedTuple

REALM = "refsys"
CLIENT = "refsys-cli"
AUDIENCE = "refsys"
DEMO_USER = "demo"

ROLES = {
    "prip-s1": "Search and download products of Sentinel-1",
    "prip-s2": "Search and download products of Sentinel-2",
    "prip-s3": "Search and download products of Sentinel-3",
    "prip-user": "Search and download all products, subscribe to them, order them",
    "cadip-user": "Search and download the files of downlink sessions",
    "ingestor-user": "Upload auxiliary files and follow what becomes of them",
    "operator": "See the timelines of products and act on failures",
}

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


def endpoints(domain: str, internal_url: str) -> Endpoints:
    """Return the endpoints of the realm at `auth.<domain>`; services reach Keycloak at `internal_url`."""
    issuer = f"https://auth.{domain}/realms/{REALM}"
    protocol = "protocol/openid-connect"
    return Endpoints(issuer, f"{issuer}/{protocol}/token", f"{internal_url}/realms/{REALM}/{protocol}/certs")


def realm(domain: str, *, demo_user: bool) -> dict[str, Any]:
    """Return the realm in Keycloak's own representation, without any password.

    With `demo_user` there is a user `demo` with all roles, and the command-line client may exchange a
    password for a token; without it that client uses the device authorization grant (RFC 8628).
    """
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
        "failureFactor": 10,
        "waitIncrementSeconds": 60,
        "maxFailureWaitSeconds": 900,
        "maxDeltaTimeSeconds": 3600,
        "eventsEnabled": True,
        "eventsExpiration": 2_592_000,
        "adminEventsEnabled": True,
        "roles": {"realm": [{"name": name, "description": text} for name, text in ROLES.items()]},
        "clients": [_client(password_grant=demo_user)],
        "users": [_demo_user(domain)] if demo_user else [],
    }


def _client(*, password_grant: bool) -> dict[str, Any]:
    return {
        "clientId": CLIENT,
        "name": "Command line",
        "description": "Public client of command-line and scripted users",
        "protocol": "openid-connect",
        "enabled": True,
        "publicClient": True,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "serviceAccountsEnabled": False,
        "directAccessGrantsEnabled": password_grant,
        "attributes": {"oauth2.device.authorization.grant.enabled": str(not password_grant).lower()},
        "protocolMappers": [
            {
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
        ],
    }


def _demo_user(domain: str) -> dict[str, Any]:
    # Keycloak refuses password grants to a user whose profile is not complete.
    return {
        "username": DEMO_USER,
        "enabled": True,
        "email": f"{DEMO_USER}@{domain}",
        "emailVerified": True,
        "firstName": "Demo",
        "lastName": "User",
        "realmRoles": ["prip-user", "cadip-user", "ingestor-user", "operator"],
    }
