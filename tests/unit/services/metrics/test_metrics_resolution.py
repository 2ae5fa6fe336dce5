"""How coarse samples of years may be, as the operators' client says it."""

from datetime import timedelta

import httpx
import pytest
from pydantic import HttpUrl

from refsys.services.common.messages import utc_now
from refsys.services.common.settings import PrometheusSettings
from refsys.services.metrics.prometheus import Prometheus

HISTORY = HttpUrl("http://history.test:9090")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """The requests that clients made; all of them are answered."""
    found: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        found.append(request)
        told = {"data": {"resultType": "vector", "result": []}, "warnings": ["thanos-store is away"]}
        return httpx.Response(200, json=told)

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **_: client(transport=httpx.MockTransport(answer)))
    return found


@pytest.mark.parametrize(
    ("days", "step", "resolution"),
    [(0, 60, "12s"), (1, 86_400, "17280s"), (7, 60, "300s"), (20, 3600, "720s"), (30, 60, "3600s")],
)
def test_samples_are_as_coarse_as_needed(asked: list[httpx.Request], days: int, step: int, resolution: str) -> None:
    client = Prometheus(PrometheusSettings(url=HttpUrl("http://local.test"), history_url=HISTORY))
    since = utc_now() - timedelta(days=days)
    client.query_range("up", since, since + timedelta(hours=1), step)
    (request,) = asked
    assert str(request.url) == "http://history.test:9090/api/v1/query_range"
    assert httpx.QueryParams(request.content.decode())["max_source_resolution"] == resolution


def test_an_instant_of_the_past_is_found(asked: list[httpx.Request]) -> None:
    client = Prometheus(PrometheusSettings(url=HttpUrl("http://local.test"), history_url=HISTORY))
    client.query("up", utc_now() - timedelta(days=400))
    assert client.query("up") == {"resultType": "vector", "result": [], "warnings": ["thanos-store is away"]}
    assert [httpx.QueryParams(each.content.decode())["max_source_resolution"] for each in asked] == ["3600s", "0s"]


def test_prometheus_alone_is_asked_as_before(asked: list[httpx.Request]) -> None:
    Prometheus(PrometheusSettings(url=HttpUrl("http://local.test"))).query("up")
    (request,) = asked
    assert str(request.url) == "http://local.test/api/v1/query"
    assert "max_source_resolution" not in request.content.decode()
