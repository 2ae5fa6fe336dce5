"""The stack's state in an object store, under the real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.means.certificates import Authority
from tests.means.object_store import ACCESS_KEY, S3, SECRET_KEY, object_store
from tests.plugin.small import Small, small  # noqa: F401 - a fixture

BUCKET = "state"
THING = 'Thing("a", "here", "{colour}", word=pulumi.Output.secret("correct-horse"))\n'


@pytest.fixture
def store(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:  # noqa: F811
    """An object store that the engine is told to keep the state in."""
    with object_store(tmp_path / "s3", Authority(tmp_path / "ca")) as running:
        (running.folder / BUCKET).mkdir()
        options = f"endpoint={running.endpoint}&s3ForcePathStyle=true&region=us-east-1"
        monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://{BUCKET}?{options}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(running.ca_file))
        yield running


def states(store: S3) -> list[Path]:
    """What the engine keeps of stacks."""
    return [file for file in (store.folder / BUCKET).glob(".pulumi/stacks/**/t-small.json") if file.is_file()]


def test_the_state_lives_in_an_object_store(small: Small, store: S3) -> None:  # noqa: F811
    stack = small.stack(THING.format(colour="red"))
    assert stack.up().counts["create"] == 2, "the stack and the thing"
    [state] = states(store)
    assert "correct-horse" not in state.read_text()
    assert not (small.things.parent / "home" / "pulumi" / ".pulumi" / "stacks").exists()
    assert stack.up().changed == 0
    kept = stack.backup("hand")
    assert kept
    assert small.stack(THING.format(colour="blue")).up().counts["update"] == 1
    stack.restore(kept.read())
    stack.destroy()
    assert states(store) == []
    assert list(small.things.iterdir()) == []
