"""No endpoint answers who may not ask: every route of every service, with every kind of wrong token."""

import time
from functools import cache

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs
from tests.means.issuer import OTHER_KEY, token
from tests.unit.services.apis.endpoints import PAGE, ROLES, Endpoint, applications, client_of, endpoints, page

OPEN = {("stac", path) for path in ("/api", "/api.html", "/docs/oauth2-redirect")}
"""What everybody may read: the description of the STAC API."""

APPLICATIONS = applications()
ENDPOINTS = [each for service, application in APPLICATIONS.items() for each in endpoints(service, application)]
CLOSED = [each for each in ENDPOINTS if (each.service, each.path) not in OPEN]


@cache
def client(service: str) -> TestClient:
    return client_of(APPLICATIONS[service])


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.unit.services.apis.endpoints"


def test_every_service_has_endpoints() -> None:
    assert {each.service for each in ENDPOINTS} == set(APPLICATIONS)


@pytest.mark.parametrize("endpoint", CLOSED, ids=lambda each: f"{each.service} {each.method} {each.path}")
def test_only_the_right_token_opens(endpoint: Endpoint) -> None:
    wrong = {
        "none": None,
        "expired": token(ROLES, exp=time.time() - 60),
        "other audience": token(ROLES, aud="another-service"),
        "other issuer": token(ROLES, iss="https://auth.example.org/realms/refsys"),
        "forged": token(ROLES, key=OTHER_KEY),
        "no token": "nonsense",
    }
    with capture_logs():
        answers = {kind: endpoint.call(client(endpoint.service), bearer) for kind, bearer in wrong.items()}
        assert answers == dict.fromkeys(wrong, 401)
        assert endpoint.call(client(endpoint.service), token(["some-other-role"])) == 403
        assert endpoint.call(client(endpoint.service), token(ROLES)) not in (401, 403)


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if "failedProcessings" in each.path], ids=str)
def test_dead_letters_want_the_key_as_well(endpoint: Endpoint) -> None:
    headers = {"Authorization": f"Bearer {token(ROLES)}", "ApiKey": "wrong"}
    with capture_logs():
        assert client("operations").request(endpoint.method, endpoint.path, headers=headers).status_code == 403
