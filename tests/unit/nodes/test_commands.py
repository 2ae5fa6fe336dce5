"""`./refsys scale` and `./refsys node`: what is asked for."""

import pytest
from rich.console import Console
from typer.testing import CliRunner

from refsys.infra.cli.app import app
from refsys.infra.errors import UserError
from refsys.infra.nodes import roll as rolling
from refsys.infra.nodes import scale as pools
from refsys.infra.scaling import auto as queue


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []

    def note(verb: str) -> object:
        def noted(*given: object, **_: object) -> str:
            found.append((verb, *(each for each in given if not isinstance(each, Console))))
            return "told"

        return noted

    monkeypatch.setattr(pools, "scale", note("scale"))
    monkeypatch.setattr(queue, "step", note("step"))
    monkeypatch.setattr(queue, "follow", note("follow"))
    monkeypatch.setattr(rolling, "replace", note("replace"))
    monkeypatch.setattr(rolling, "roll", note("roll"))
    return found


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("scale w 3", ("scale", "local", "w", 3)),
        ("scale training w 3", ("scale", "training", "w", 3)),
        ("scale --auto", ("follow", "local")),
        ("scale --auto training --once", ("step", "training")),
        ("node replace w2 training", ("replace", "training", "w2")),
        ("node replace w2", ("replace", "local", "w2")),
        ("node roll w training", ("roll", "training", "w")),
    ],
)
def test_commands_take_an_environment_or_mean_the_local_one(
    done: list[tuple[object, ...]], words: str, asked: tuple[object, ...]
) -> None:
    run = CliRunner().invoke(app, words.split())
    assert run.exit_code == 0, run.output
    assert done == [asked]


@pytest.mark.parametrize("words", ["scale", "scale w", "scale w three", "scale a b c 3", "scale w -1", "scale --once"])
def test_what_is_no_request_is_refused_with_one_that_is(done: list[tuple[object, ...]], words: str) -> None:
    run = CliRunner().invoke(app, words.split())
    assert run.exit_code != 0
    assert isinstance(run.exception, UserError | SystemExit)
    assert done == []
