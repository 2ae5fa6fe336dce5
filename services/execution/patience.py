"""Patience with the object store: a job that has run for hours must not be lost to a minute without it."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from refsys.services.common.store import StoreUnavailableError

PATIENCE_SECONDS = 900

T = TypeVar("T")


def patiently(action: Callable[[], T]) -> T:
    """Do something with the object store; while it is away, try again."""
    return Retrying(
        retry=retry_if_exception_type(StoreUnavailableError),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_exponential_jitter(multiplier=0.5, max=30),
        reraise=True,
    )(action)
