"""Questions to Prometheus, asked by mutual TLS."""

from datetime import datetime, timedelta
from typing import Any

import httpx

from refsys.services.common.messages import iso, utc_now
from refsys.services.common.settings import PrometheusSettings
from refsys.services.common.tls import trust

TIMEOUT_SECONDS = 40  # a little more than Prometheus gives a question
REFUSED = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY})

RAW_KEPT = timedelta(days=6)
FIVE_MINUTES_KEPT = timedelta(days=29)
"""A day less than Thanos keeps samples of that resolution (monitoring/components/thanos_config.py)."""

Document = dict[str, Any]


class PrometheusDownError(Exception):
    """Prometheus does not answer, or not in time; what was asked can be asked again."""


class QueryError(Exception):
    """Prometheus can't carry out the question; the message says why."""


class Prometheus:
    """A client; threads may share it."""

    def __init__(self, settings: PrometheusSettings) -> None:
        """Nothing is asked for yet."""
        verify = trust(settings.ca_file, settings.certificate_file, settings.key_file)
        self._client = httpx.Client(verify=verify, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._url = str(settings.url).rstrip("/")
        self._history_url = str(settings.history_url).rstrip("/") if settings.history_url else None

    def query(self, expression: str, at: datetime | None = None, *, seconds: float = TIMEOUT_SECONDS) -> Document:
        """Return `resultType` and `result` of an expression at a time, else now; wait so many seconds at most.

        Raises:
            QueryError: the expression is wrong, or asks for too much.
            PrometheusDownError: there is no answer now.
        """
        asked = {"query": expression} | ({"time": iso(at)} if at else {})
        return self._ask("query", asked | self._resolution(at or utc_now()), seconds)

    def query_range(
        self,
        expression: str,
        since: datetime,
        until: datetime,
        step_seconds: int,
        *,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Document:
        """Return `resultType` and `result` of an expression at each step between two times; wait so long at most.

        Raises:
            QueryError: the expression is wrong, or asks for too much.
            PrometheusDownError: there is no answer now.
        """
        asked = {"query": expression, "start": iso(since), "end": iso(until), "step": str(step_seconds)}
        return self._ask("query_range", asked | self._resolution(since, step_seconds), seconds)

    def targets(self) -> list[Document]:
        """Return what is asked for metrics (Prometheus' `activeTargets`), and how the last time went.

        Raises:
            PrometheusDownError: there is no answer now.
        """
        try:
            answer = self._client.get(f"{self._url}/api/v1/targets", params={"state": "active"})
            found: list[Document] = answer.raise_for_status().json()["data"]["activeTargets"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise PrometheusDownError(f"Prometheus does not answer: {error}") from error
        return found

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _resolution(self, since: datetime, step_seconds: int = 0) -> dict[str, str]:
        """Return how coarse samples may be: as a step needs them, and where finer ones are gone, what there is."""
        if self._history_url is None:
            return {}
        age = utc_now() - since
        there = 3600 if age > FIVE_MINUTES_KEPT else 300 if age > RAW_KEPT else 0
        return {"max_source_resolution": f"{max(there, step_seconds // 5)}s"}

    def _ask(self, what: str, asked: dict[str, str], seconds: float) -> Document:
        try:
            answer = self._client.post(f"{self._history_url or self._url}/api/v1/{what}", data=asked, timeout=seconds)
            if answer.status_code in REFUSED:
                raise QueryError(answer.json()["error"])
            told = answer.raise_for_status().json()
            found: Document = told["data"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise PrometheusDownError(f"Prometheus does not answer: {error}") from error
        # Where somebody who has a part of the samples is away, the answer is the rest, and says so.
        return found | ({"warnings": told["warnings"]} if told.get("warnings") else {})
