"""Requests at random, and what no answer may be."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

INSIDE = re.compile(r"\bSELECT\s|distribution\.product|psycopg|sqlalchemy|Traceback|jsonb|%\(\w+\)s")

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]


class Fuzz:
    """Sends requests to an application, and fails for what no answer may be."""

    def __init__(self, client: TestClient, headers: Mapping[str, str], told: Callable[[Any], str]) -> None:
        """`told` takes from the JSON body of an error what it tells its reader."""
        self.client = client
        self.headers = dict(headers)
        self.statuses: Counter[int] = Counter()
        self._told = told

    def send(self, strategy: st.SearchStrategy[dict[str, Any]], requests: int) -> None:
        """Send so many requests, given as arguments of the client."""

        @settings(max_examples=requests, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(arguments=strategy)
        def each(arguments: dict[str, Any]) -> None:
            self._check(self.client.request(**arguments, follow_redirects=False))

        each()

    def operation(self, operation: Operation, mode: GenerationMode) -> st.SearchStrategy[dict[str, Any]]:
        """Requests to an operation of the application's OpenAPI document, right or wrong ones."""
        return operation.as_strategy(generation_mode=mode).map(self._arguments)

    def _arguments(self, case: Case) -> dict[str, Any]:
        wanted = case.as_transport_kwargs(base_url="http://testserver", headers=self.headers)
        names = {"method", "url", "params", "headers", "cookies", "json", "data", "content"}
        found = {name: value for name, value in wanted.items() if name in names and value not in (None, {})}
        if isinstance(found.get("data"), bytes | str):
            found["content"] = found.pop("data")
        return found

    def _check(self, answer: httpx.Response) -> None:
        self.statuses[answer.status_code] += 1
        request = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
        assert answer.status_code < 500, f"{request}: {answer.text}"
        assert not INSIDE.search(answer.text), f"{request}: {answer.text}"
        if answer.is_client_error and answer.request.method != "HEAD":
            assert len(self._told(answer.json())) > 10, f"{request}: {answer.text}"


def operations_of(document: Any) -> list[Operation]:
    """All operations of an OpenAPI document as schemathesis loaded it."""
    results = list(document.get_all_operations())
    operations = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(operations) == len(results)
    return operations
