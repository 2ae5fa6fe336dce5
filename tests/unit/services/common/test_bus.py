"""Rules of the consumer loop that need no broker: retries, rejection, stop."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from refsys.services.common import bus
from refsys.services.common.bus import Consumer, Producer, RejectedError
from refsys.services.common.messages import FailedProcessing, Message, Model
from refsys.services.common.operations import Health, serve_operations
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings, OperationsSettings

SETTINGS = KafkaSettings(bootstrap="127.0.0.1:1")
RAW = Message(
    mission_id="S1", satellite_id="S1A", key_object_storage="x", storage_path="s3://b/x", product_family="S2_AUX"
).model_dump_json(by_alias=True)


class FakeProducer(Producer):
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, topic: str, message: Model, key: str, headers: Mapping[str, str] | None = None) -> None:
        self.sent.append(message)


class FakeMessage:
    """A Kafka message."""

    def __init__(self, value: str = RAW) -> None:
        self._value = value.encode()

    def value(self) -> bytes:
        return self._value

    def key(self) -> bytes:
        return b"x"

    def headers(self) -> list[tuple[str, bytes]]:
        return []

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7


class Loop:
    """A consumer with a handler, and what became of it."""

    def __init__(self, handle: Callable[[Message], None]) -> None:
        self.producer = FakeProducer()
        operations = serve_operations(OperationsSettings(operations_port=0), Health())
        operations.shutdown()
        operations.server_close()
        self.process = Process("unit", Health(), threading.Event(), operations)
        self.consumer = Consumer(
            SETTINGS, self.process, self.producer, topic="catalog-job", model=Message, handle=handle
        )

    def work(self, raw: str = RAW) -> bool:
        return self.consumer._work_one(FakeMessage(raw))  # type: ignore[arg-type]

    def dead(self) -> list[FailedProcessing]:
        return self.producer.sent


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "wait_exponential_jitter", lambda **_: lambda _state: 0.001)


def failing(errors: list[Exception]) -> Callable[[Message], None]:
    def handle(_message: Message) -> None:
        if errors:
            raise errors.pop(0)

    return handle


def test_what_is_down_is_waited_for() -> None:
    loop = Loop(failing([OperationalError("select", None, Exception("down"))] * 20))
    assert loop.work()
    assert loop.dead() == []


def test_other_errors_are_retried_a_few_times_then_become_dead_letters() -> None:
    loop = Loop(failing([ValueError("bad")] * (bus.ATTEMPTS - 1)))
    assert loop.work()
    assert loop.dead() == []
    loop = Loop(failing([ValueError("bad")] * 99))
    assert loop.work()
    (failed,) = loop.dead()
    assert failed.failure_message == "ValueError: bad"
    assert "Traceback" in failed.stacktrace
    assert (failed.partition, failed.offset, failed.message) == (3, 7, RAW)


def test_a_rejected_message_is_not_retried() -> None:
    errors: list[Exception] = [RejectedError("no use"), ValueError("never reached")]
    loop = Loop(failing(errors))
    assert loop.work()
    assert len(errors) == 1
    assert [failed.failure_message for failed in loop.dead()] == ["RejectedError: no use"]


def test_an_unreadable_message_is_a_dead_letter_with_its_text() -> None:
    loop = Loop(failing([]))
    assert loop.work("{oops")
    (failed,) = loop.dead()
    assert failed.message == "{oops"
    assert "not a valid Message" in failed.failure_message


def test_stopping_leaves_the_message_for_later() -> None:
    loop = Loop(failing([ValueError("bad")] * 99))
    loop.process.stop.set()
    assert not loop.work()
    assert loop.dead() == []
