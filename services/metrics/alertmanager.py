"""Alerts that fire now, read from Alertmanager by mutual TLS."""

from typing import Any

import httpx

from refsys.services.common.settings import AlertmanagerSettings
from refsys.services.common.tls import trust

TIMEOUT_SECONDS = 3

Document = dict[str, Any]


class AlertmanagerSilentError(Exception):
    """Alertmanager does not answer."""


class FiringAlerts:
    """A client that reads; threads may share it."""

    def __init__(self, settings: AlertmanagerSettings) -> None:
        """Nothing is asked for yet."""
        verify = trust(settings.ca_file, settings.certificate_file, settings.key_file)
        self._client = httpx.Client(base_url=str(settings.url), verify=verify, timeout=TIMEOUT_SECONDS, trust_env=False)

    def all(self) -> list[Document]:
        """Return all alerts that fire, as Alertmanager has them, with those that are silenced or held back.

        Raises:
            AlertmanagerSilentError: there is no answer now.
        """
        try:
            answer = self._client.get("/api/v2/alerts", params={"active": "true"})
            found: list[Document] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise AlertmanagerSilentError(f"Alertmanager does not answer: {error}") from error
        return found

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
