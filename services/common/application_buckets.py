"""Buckets of hosted applications: made for the account of the same name, and removed when the application is."""

import re
from collections.abc import Collection

import httpx

from refsys.services.common.bucket_policy import signed
from refsys.services.common.messages import utc_now
from refsys.services.common.settings import S3Settings
from refsys.services.common.store import ObjectStore, StoreUnavailableError
from refsys.services.common.tls import trust

PREFIX = "app-"
_NAME = re.compile(rb"<Name>([^<]+)</Name>")


def remove_others(settings: S3Settings, store: ObjectStore, wanted: Collection[str]) -> list[str]:
    """Remove the buckets of applications that are not `wanted`, with all that is in them; returns their names.

    Raises:
        StoreUnavailableError: the store does not do it.
    """
    found = _NAME.findall(_asked("GET", settings, "/"))
    others = [name for each in found if (name := each.decode()).startswith(PREFIX) and name not in wanted]
    for name in others:
        for each in list(store.list(name)):
            store.delete(name, each.key)
        _asked("DELETE", settings, f"/{name}")
    return others


def _asked(method: str, settings: S3Settings, path: str) -> bytes:
    url = f"{str(settings.endpoint).rstrip('/')}{path}"
    with httpx.Client(verify=trust(settings.ca_file), timeout=30, trust_env=False) as client:
        answer = client.request(method, url, headers=signed(method, settings, url, b"", utc_now()))
    if answer.is_error:
        raise StoreUnavailableError(
            f"object store {settings.endpoint}: {method} {path}: HTTP {answer.status_code} {answer.text[:300]}"
        )
    return answer.content
