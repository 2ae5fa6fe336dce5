"""`./refsys order`: what it asks of the on-demand production, and what it says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from refsys.infra import operators, orders
from refsys.infra.cli import endpoints, order
from refsys.infra.errors import UserError

ID = "00000000-0000-4000-8000-000000000001"
URL = "https://ondemand.example.org"
INFO: dict[str, Any] = {
    "jobID": ID,
    "processID": "s3-l0.S3_L0",
    "status": "successful",
    "message": "all of 1 jobs ended well",
    "progress": 100,
    "created": "2026-11-22T12:00:00.000Z",
    "jobs": [
        {
            "product": "S3A/ch_1/dsib",
            "state": "TERMINATED",
            "outcome": "OK",
            "reason": "made 1 product",
            "products": [{"title": "A.SEN3.zip", "href": "https://prip/odata/v1/Products(1)/$value"}],
        }
    ],
}
RUNNING = INFO | {"status": "running", "progress": 0, "message": "0 of 1 jobs ended; runs"}
Asked = list[httpx.Request]
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], Asked]:
    def answering(answer: Answer) -> Asked:
        asked: Asked = []

        def handle(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/token":
                return httpx.Response(200, json={"access_token": "t", "expires_in": 300})
            assert request.headers["Authorization"] == "Bearer t"
            asked.append(request)
            return answer(request)

        demo = {"client_id": "c", "username": "demo", "password": "p", "token_url": "https://auth.example.org/token"}
        known = {"environment": "local", "ondemand_url": URL, "ca_file": "", "issuer": "", "demo": demo}
        monkeypatch.setattr(endpoints, "read", lambda _: known)
        monkeypatch.setattr(operators, "transport", lambda _: httpx.MockTransport(handle))
        monkeypatch.setattr(orders, "POLL_SECONDS", 0.0)
        return asked

    return answering


def invoke(*words: str) -> Any:
    return CliRunner().invoke(order.app, list(words))


def test_an_order_is_placed_with_what_is_told_and_followed_to_its_end(
    api: Callable[[Answer], Asked], tmp_path: Path
) -> None:
    answers = [INFO | {"status": "accepted"}, RUNNING, RUNNING, INFO]
    asked = api(lambda _: httpx.Response(200, json=answers.pop(0)))
    area = tmp_path / "area.json"
    area.write_text('{"type": "Point", "coordinates": [1, 2]}')
    run = invoke(
        *("submit", "s1-l1.IW_L1", "--product", "A", "--product", "B", "--time", "2026-11-01/2026-11-02"),
        *("--bbox", "5,43,8,46", "--polygon", str(area), "--parameter", "Looks=4x1", "--key", "mine", "--wait"),
    )
    assert run.exit_code == 0, run.output
    assert asked[0].url == f"{URL}/ogc/processes/s1-l1.IW_L1/execution"
    assert asked[0].headers["Idempotency-Key"] == "mine"
    assert json.loads(asked[0].content) == {
        "inputs": {
            "Looks": "4x1",
            "products": ["A", "B"],
            "datetime": "2026-11-01/2026-11-02",
            "bbox": {"bbox": [5, 43, 8, 46]},
            "polygon": {"type": "Point", "coordinates": [1, 2]},
        }
    }
    assert [request.method for request in asked] == ["POST", "GET", "GET", "GET"]
    assert run.output.splitlines()[0] == ID
    assert "successful, 100 %" in run.output and "A.SEN3.zip  https://prip/odata/v1/Products(1)/$value" in run.output


def test_an_order_that_failed_is_an_exit_code(api: Callable[[Answer], Asked]) -> None:
    api(lambda _: httpx.Response(200, json=INFO | {"status": "failed", "message": "1 of 1 jobs failed: no room"}))
    run = invoke("follow", ID)
    assert run.exit_code == 1
    assert "1 of 1 jobs failed: no room" in run.output
    api(lambda _: httpx.Response(200, json=RUNNING))
    assert "has not ended after 0 s" in str(invoke("follow", ID, "--timeout", "0").exception)


def test_orders_are_listed_shown_and_dismissed(api: Callable[[Answer], Asked]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(200, json=INFO | {"status": "dismissed", "message": "dismissed, 0 of 1 jobs"})
        if request.url.path == "/ogc/jobs":
            return httpx.Response(200, json={"jobs": [INFO], "links": []})
        if request.url.path.endswith("/results"):
            return httpx.Response(200, json={"products": INFO["jobs"][0]["products"]})
        if request.url.path == "/ogc/processes":
            return httpx.Response(200, json={"processes": [{"id": "s3-l0.S3_L0"}]})
        if request.url.path.startswith("/ogc/processes/"):
            shown = {"id": "s3-l0.S3_L0", "title": "Level 0", "version": "1.0", "inputs": {"products": {}, "Looks": {}}}
            return httpx.Response(200, json=shown)
        return httpx.Response(200, json=INFO)

    asked = api(answer)
    assert "all of 1 jobs ended well" in invoke("list", "--process", "s3-l0.S3_L0", "--count", "5").output
    assert dict(asked[0].url.params) == {"processID": "s3-l0.S3_L0", "limit": "5"}
    assert json.loads(invoke("list", "--json").output) == [INFO]
    assert "S3A/ch_1/dsib: OK, made 1 product" in invoke("show", ID).output
    assert invoke("results", ID).output == "A.SEN3.zip  https://prip/odata/v1/Products(1)/$value\n"
    assert invoke("cancel", ID).output == f"order {ID} is dismissed, 0 of 1 jobs\n"
    assert "products Looks" in invoke("processes").output


@pytest.mark.parametrize(
    ("status", "detail", "message", "fix"),
    [
        (400, "products: X is not in the catalogue", "products: X is not in the catalogue", "--help"),
        (403, "user x has neither the role", "may not ask the on-demand production", "role ondemand-user"),
        (404, "there is no order", "there is no order", "list shows them"),
        (429, "quota open-orders: 5 orders", "quota open-orders: 5 orders", "--help"),
        (503, "the database does not answer", "the database does not answer", "./refsys status"),
    ],
)
def test_what_is_refused_is_told(
    api: Callable[[Answer], Asked], status: int, detail: str, message: str, fix: str
) -> None:
    headers = {"Content-Type": operators.PROBLEM}
    api(lambda _: httpx.Response(status, content=json.dumps({"title": "X", "detail": detail}), headers=headers))
    error = invoke("submit", "s3-l0.S3_L0", "--product", "X").exception
    assert isinstance(error, UserError)
    assert message in str(error) and fix in str(error)


def test_wrong_options_are_told_before_anything_is_asked(api: Callable[[Answer], Asked], tmp_path: Path) -> None:
    asked = api(lambda _: httpx.Response(500))
    for words in (("--bbox", "a,b"), ("--parameter", "Looks"), ("--polygon", str(tmp_path / "none"))):
        assert isinstance(invoke("submit", "s3-l0.S3_L0", *words).exception, UserError)
    assert asked == []


def test_an_older_environment_has_no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "read", lambda _: {"environment": "old", "ca_file": ""})
    monkeypatch.setattr(operators, "transport", lambda _: httpx.MockTransport(lambda _: httpx.Response(500)))
    error = str(invoke("list").exception)
    assert "does not tell where the on-demand production is" in error and "./refsys up old" in error
