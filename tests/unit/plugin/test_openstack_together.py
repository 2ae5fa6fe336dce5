"""Objects that are asked for at the same time are read at once, and never from before the question."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.together import Collection

ASKING = 12


class Ports:
    """A collection that holds its first request until it is let go."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {f"p{number}": {"version": 1} for number in range(ASKING)}
        self.shared = {"theirs": {"version": 1}}
        self.requests: list[str] = []
        self.goes_on = threading.Event()

    def one(self, identity: str) -> dict[str, Any] | None:
        self.requests.append(identity)
        found = (self.objects | self.shared).get(identity)
        answer = dict(found) if found else None
        self.goes_on.wait(10)
        return answer

    def many(self) -> dict[str, dict[str, Any]]:
        self.requests.append("all")
        return {identity: dict(item) for identity, item in self.objects.items()}


def test_who_asks_meanwhile_is_answered_by_one_later_listing() -> None:
    ports = Ports()
    collection = Collection(ports.one, ports.many)
    with ThreadPoolExecutor(ASKING + 3) as pool:
        first = pool.submit(collection.read, "p0")
        while not ports.requests:
            time.sleep(0.001)
        others = [pool.submit(collection.read, f"p{number}") for number in range(ASKING)]
        gone, theirs = pool.submit(collection.read, "gone"), pool.submit(collection.read, "theirs")
        while len(collection._next.wanted) < ASKING + 2:
            time.sleep(0.001)
        ports.objects = {identity: {"version": 2} for identity in ports.objects}
        ports.goes_on.set()
        assert first.result() == {"version": 1}
        assert [each.result() for each in others] == [{"version": 2}] * ASKING
        assert gone.result() is None
        assert theirs.result() == {"version": 1}
    assert sorted(ports.requests) == ["all", "gone", "p0", "theirs"]


def test_everybody_gets_the_error_and_the_next_question_is_asked_anew() -> None:
    answers: list[Any] = [CloudError(500, "broken"), {"id": "p"}]

    def one(identity: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, CloudError):
            raise answer
        return answer

    collection = Collection(one, dict)
    with pytest.raises(CloudError, match="broken"):
        collection.read("p")
    assert collection.read("p") == {"id": "p"}
