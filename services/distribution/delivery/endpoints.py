"""Endpoints of subscriptions and orders: checked when given, kept with their secrets encrypted."""

from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Connection, RowMapping, select

from refsys.services.distribution.delivery.guard import Guard, RefusedError
from refsys.services.distribution.delivery.model import endpoint
from refsys.services.distribution.delivery.push import Target, new_secret
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.odata.errors import bad_option


def pascal(name: str) -> str:
    """Return the OData name of a field."""
    return "".join(part.capitalize() for part in name.split("_"))


class Request(BaseModel):
    """The body of a request: fields named as in OData, none that is not known."""

    model_config = ConfigDict(alias_generator=pascal, extra="forbid", hide_input_in_errors=True)


class EndpointFields(Request):
    """Where notifications go, in the fields of reference-system.md §3.4 and §3.5."""

    notification_endpoint: str | None = None
    notification_ep_username: str | None = Field(default=None, max_length=200, pattern=r"^[^:\x00-\x1f]+$")
    notification_ep_password: SecretStr | None = Field(default=None, max_length=1000)


class Endpoints:
    """Makes and reads endpoints."""

    def __init__(self, cipher: Cipher, guard: Guard) -> None:
        """`cipher` keeps the secrets, `guard` says what may be notified."""
        self._cipher = cipher
        self._guard = guard

    def check(self, fields: EndpointFields) -> None:
        """Raise the 400 of an endpoint that cannot be notified."""
        if fields.notification_endpoint is None:
            if fields.notification_ep_username or fields.notification_ep_password:
                raise bad_option("NotificationEndpoint", "is missing; user and password are for it")
            return
        self.check_url("NotificationEndpoint", fields.notification_endpoint)

    def make(self, connection: Connection, fields: EndpointFields) -> tuple[UUID | None, str | None]:
        """Keep a checked endpoint; return its Id and its new signing secret, which is shown this once."""
        if fields.notification_endpoint is None:
            return None, None
        secret = new_secret()
        password = fields.notification_ep_password
        user = {
            "username": fields.notification_ep_username,
            "password": self._cipher.encrypt(password.get_secret_value()) if password else None,
        }
        return self.keep(connection, fields.notification_endpoint, secret, **user), secret

    def check_url(self, name: str, url: str) -> None:
        """Raise the 400 of an address that cannot be notified; `name` is the field that it was given in."""
        try:
            self._guard.check_url(url)
        except RefusedError as error:
            raise bad_option(name, str(error)) from error

    def keep(self, connection: Connection, url: str, secret: str, **user: str | bytes | None) -> UUID:
        """Keep a checked address with its signing secret, and perhaps `username` and `password` as they are stored."""
        endpoint_id = uuid4()
        values = {"id": endpoint_id, "url": url, "secret": self._cipher.encrypt(secret), **user}
        connection.execute(endpoint.insert().values(values))
        return endpoint_id

    def target(self, row: RowMapping) -> Target:
        """Return an endpoint's row as a target, with its secrets in the clear."""
        password = row["password"]
        return Target(
            row["url"],
            row["username"],
            self._cipher.decrypt(password) if password is not None else None,
            self._cipher.decrypt(row["secret"]),
        )


def shown(connection: Connection, ids: set[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return what users see of endpoints, by Id: never a secret."""
    rows = connection.execute(
        select(endpoint.c.id, endpoint.c.url, endpoint.c.username, endpoint.c.last_error).where(endpoint.c.id.in_(ids))
    )
    return {
        row.id: {
            "NotificationEndpoint": row.url,
            "NotificationEpUsername": row.username,
            "LastNotificationError": row.last_error,
        }
        for row in rows
    }


NOT_SHOWN: dict[str, Any] = {
    "NotificationEndpoint": None,
    "NotificationEpUsername": None,
    "LastNotificationError": None,
}
