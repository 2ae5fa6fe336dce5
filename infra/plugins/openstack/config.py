"""The provider's configuration (`pulumi_openstack.Provider`)."""

import json
from dataclasses import dataclass, field
from typing import Any

from refsys.infra.plugins.common.values import UNKNOWN, Properties

SECRET = ("password", "applicationCredentialSecret", "token", "key")

# Property: its name in openstacksdk's `auth`.
_AUTH = {
    "authUrl": "auth_url",
    "userName": "username",
    "userId": "user_id",
    "password": "password",
    "token": "token",
    "tenantName": "project_name",
    "tenantId": "project_id",
    "domainName": "domain_name",
    "domainId": "domain_id",
    "userDomainName": "user_domain_name",
    "userDomainId": "user_domain_id",
    "projectDomainName": "project_domain_name",
    "projectDomainId": "project_domain_id",
    "applicationCredentialId": "application_credential_id",
    "applicationCredentialName": "application_credential_name",
    "applicationCredentialSecret": "application_credential_secret",
}
_OTHER = ("cloud", "region", "cacertFile", "cert", "key", "endpointType", "insecure", "endpointOverrides")
# What tells how the vendor's client works, and means nothing to this one.
_IGNORED = {
    *("version", "pluginDownloadURL", "allowReauth", "delayedAuth", "disableNoCacheHeader", "enableLogging"),
    *("maxRetries", "defaultDomain"),
}
# Another cloud or project: what the old one holds has to be made anew there.
_PLACES = ("cloud", "authUrl", "region", "tenantId", "tenantName")
_SERVICES = {"network": "network", "compute": "compute", "image": "image", "volumev3": "block_storage"}


@dataclass(frozen=True)
class Config:
    """How to reach the cloud, as the arguments of `openstack.connect`."""

    arguments: Properties = field(default_factory=dict)
    region: str | None = None
    known: bool = True
    """False while a preview doesn't know all of it yet."""

    @classmethod
    def read(cls, properties: Properties) -> "Config":
        """Read the provider's properties."""
        known = {key: _plain(value) for key, value in properties.items() if value is not UNKNOWN}
        auth = {name: known[key] for key, name in _AUTH.items() if known.get(key)}
        options: dict[str, Any] = {
            "cloud": known.get("cloud"),
            "auth": auth or None,
            "region_name": known.get("region"),
            "cacert": known.get("cacertFile"),
            "cert": known.get("cert"),
            "key": known.get("key"),
            "interface": str(known.get("endpointType") or "").removesuffix("URL") or None,
            "verify": False if known.get("insecure") else None,
            "auth_type": _auth_type(auth),
            **_overrides(known.get("endpointOverrides") or {}),
        }
        return cls(
            arguments={key: value for key, value in options.items() if value is not None},
            region=known.get("region"),
            known=len(known) == len(properties),
        )


def check(properties: Properties) -> list[tuple[str, str]]:
    """Return what is wrong with the properties: pairs of property and reason."""
    served = {*_AUTH, *_OTHER, *_IGNORED}
    failures = [
        (key, f"{key} is not served by this plugin; leave it out")
        for key, value in properties.items()
        if key not in served and value not in (None, "", "false", False)
    ]
    if properties.get("applicationCredentialId") and not properties.get("applicationCredentialSecret"):
        reason = "an application credential has a secret; set it encrypted: pulumi config set --secret"
        failures.append(("applicationCredentialSecret", reason))
    return failures


def needs_replacement(old: Properties, new: Properties) -> str | None:
    """Return the property whose change means another cloud or project, so that everything has to move."""
    return next((key for key in _PLACES if old.get(key) and new.get(key) and old[key] != new[key]), None)


def _auth_type(auth: Properties) -> str | None:
    if "application_credential_secret" in auth:
        return "v3applicationcredential"
    return "v3token" if "token" in auth else None


def _overrides(given: Properties) -> Properties:
    return {f"{_SERVICES.get(key, key).replace('-', '_')}_endpoint_override": url for key, url in given.items()}


def _plain(value: Any) -> Any:
    """Properties of providers that are no texts travel as JSON."""
    if (isinstance(value, str) and value[:1] in ("{", "[")) or value in ("true", "false"):
        return json.loads(value)
    return value
