"""The way to an OpenStack with the environment's credentials, and its words when it refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openstack
from keystoneauth1 import exceptions as auth_exceptions
from openstack import exceptions
from openstack.connection import Connection

from refsys.infra.clouds.openstack.settings import OpenStack
from refsys.infra.errors import UserError

TIMEOUT_SECONDS = 60


def connect(settings: OpenStack) -> Connection:
    """Log in.

    Raises:
        UserError: the credentials or the address are wrong, or nothing answers.
    """
    with explained(settings):
        connection = openstack.connect(**_arguments(settings))
        connection.authorize()
    return connection


def place(settings: OpenStack) -> str:
    """How messages name the cloud."""
    return f"OpenStack {settings.cloud or settings.auth_url}"


@contextmanager
def explained(settings: OpenStack) -> Iterator[None]:
    """Turn what goes wrong between here and the cloud into the cloud's own reason and a remedy."""
    try:
        yield
    except exceptions.ConfigException as error:
        raise UserError(
            f"{place(settings)} is not set up: {error}",
            fix="clouds.yaml lies in ~/.config/openstack, or where OS_CLIENT_CONFIG_FILE says; refsys:openstack.cloud "
            "names one of its entries",
        ) from None
    except auth_exceptions.Unauthorized as error:
        raise UserError(
            f"{place(settings)} refuses the credentials: {error.message}",
            fix="check them, and whether an application credential has expired: openstack token issue",
        ) from None
    except (auth_exceptions.ConnectionError, auth_exceptions.DiscoveryFailure) as error:
        raise UserError(
            f"{place(settings)} gives no answer: {error}",
            fix="check auth_url, the way there, and ca_file where its certificate is not of a public authority",
        ) from None
    except (auth_exceptions.ClientException, exceptions.SDKException) as error:
        raise UserError(
            f"{place(settings)} answers: {_reason(error)}",
            fix="mend what it names; openstack --debug with the same credentials tells more",
        ) from None


def _reason(error: Exception) -> str:
    details = getattr(error, "details", None)
    return f"{error} {details}".strip() if details and str(details) not in str(error) else str(error)


def _arguments(settings: OpenStack) -> dict[str, Any]:
    given: dict[str, Any] = (
        {"cloud": settings.cloud}
        if settings.cloud
        else {
            "load_yaml_config": False,
            "load_envvars": False,
            "auth_type": "v3applicationcredential",
            "auth": {
                "auth_url": settings.auth_url,
                "application_credential_id": settings.application_credential_id,
                "application_credential_secret": _secret(settings),
            },
        }
    )
    given |= {"region_name": settings.region} if settings.region else {}
    given |= {"cacert": settings.ca_file} if settings.ca_file else {}
    return given | {"api_timeout": TIMEOUT_SECONDS, "app_name": "refsys"}


def _secret(settings: OpenStack) -> str:
    secret = settings.application_credential_secret
    return secret.get_secret_value() if secret else ""
