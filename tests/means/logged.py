"""What the services of a test's process log: `pytest_plugins = ("tests.means.logged",)`."""

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from refsys.services.common import logs

Lines = Callable[[], list[str]]


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process logs."""
    text, root, own = io.StringIO(), logging.getLogger(), logging.getLogger("refsys")
    before = root.handlers
    with monkeypatch.context() as context:
        context.setattr("sys.stdout", text)
        logs.configure("tests")
    own.setLevel("INFO")  # pytest gives the root its old level back before the test
    yield text
    own.setLevel("NOTSET")
    root.handlers = before


@pytest.fixture
def lines(out: io.StringIO) -> Lines:
    """What it logged since the last call, line by line."""

    def take() -> list[str]:
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        return text.splitlines()

    return take
