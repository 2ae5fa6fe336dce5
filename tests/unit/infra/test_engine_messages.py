"""What the engine says of a failed resource, as users read it."""

import traceback
from collections.abc import Callable

import pytest

from refsys.infra.cli import events
from refsys.infra.errors import UserError


def fails() -> None:
    try:
        raise KeyError("cause")
    except KeyError as error:
        raise UserError("machine m1 refuses the key\n  for root", fix="put it there") from error


def stumbles() -> None:
    raise ZeroDivisionError("division by zero")


def wrapped(function: Callable[[], None]) -> str:
    """As the dynamic provider, gRPC and the engine pass an error on."""
    try:
        function()
    except Exception:  # as there
        return f"error: Exception calling application: {traceback.format_exc()}"
    raise AssertionError("it did not fail")


def test_an_error_comes_without_the_traceback_around_it() -> None:
    assert events.clean(wrapped(fails)) == "machine m1 refuses the key\n  for root\n  fix: put it there"
    assert events.clean(wrapped(stumbles)) == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("text", ["the cloud refused it", "1 error occurred:\n    * no quota: 3 of 3"])
def test_other_messages_stay_as_they_are(text: str) -> None:
    assert events.clean(f"error: {text}\n") == text
