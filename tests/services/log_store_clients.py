"""Clients of the log store, Alertmanager and Prometheus, each with the certificate of a process."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import HttpUrl
from tests.means.certificates import Authority

from refsys.services.common.settings import AlertmanagerSettings, LogStoreSettings, PrometheusSettings
from refsys.services.logs.store import LogStore

StoreOf = Callable[[str], LogStore]
Client = TypeVar("Client", LogStoreSettings, AlertmanagerSettings, PrometheusSettings)


def client_settings(kind: type[Client], url: str, authority: Authority, process: str) -> Client:
    shown = authority.issue(process)
    return kind(
        url=HttpUrl(url),
        ca_file=authority.ca_file,
        certificate_file=shown.certificate_file,
        key_file=shown.key_file,
    )
