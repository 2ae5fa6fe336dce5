"""The routing file: what it accepts, and how it explains what it refuses."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from refsys.services.common.settings import SettingsError
from refsys.services.routing.remotes import inside
from refsys.services.routing.rules import Routing, load_routing

RULE = {"name": "aux", "source": "src:out", "target": "dst:in", "schedule": "*/5 * * * *"}
REMOTES = [{"name": "src", "type": "webdav", "options": {"url": "https://x"}}, {"name": "dst", "type": "s3"}]


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "routing.yaml"
    file.write_text(yaml.safe_dump({"remotes": REMOTES, "rules": [RULE]} | changes))
    return file


def test_defaults(tmp_path: Path) -> None:
    routing = load_routing(write(tmp_path))
    (rule,) = routing.rules
    assert (rule.bandwidth, rule.delete_source, rule.attempts, rule.deadline_seconds) == ("off", False, 8, 86_400)
    assert routing.type_of(rule.target) == "s3"
    assert rule.next_after(datetime(2024, 1, 1, 0, 3, tzinfo=UTC)) == datetime(2024, 1, 1, 0, 5, tzinfo=UTC)


def test_an_empty_file_has_no_rules(tmp_path: Path) -> None:
    file = tmp_path / "routing.yaml"
    file.write_text("")
    assert load_routing(file) == Routing()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rules": [RULE | {"schedule": "often"}]}, ["rules.0.schedule", "'often'"]),
        ({"rules": [RULE | {"target": "elsewhere:in"}]}, ["rule aux", "elsewhere:in", "not among the remotes"]),
        ({"rules": [RULE | {"target": "src:out/deeper"}]}, ["lie in each other"]),
        ({"rules": [RULE | {"bandwidth": "fast"}]}, ["rules.0.bandwidth"]),
        ({"rules": [RULE, RULE]}, ["two rules have the same name"]),
        ({"rules": [RULE | {"colour": "red"}]}, ["rules.0.colour"]),
        ({"remotes": [{"name": "src", "type": "s3", "secret_files": {"key": "/nowhere"}}]}, ["cannot read /nowhere"]),
        ({"remotes": [{"name": "Src", "type": "s3"}]}, ["remotes.0.name"]),
    ],
)
def test_mistakes_name_the_entry_and_the_reason(changes: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load_routing(write(tmp_path, **changes))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("place", "folder"), [("dst:", "dst:a"), ("dst:in", "dst:in/a"), ("dst:/", "dst:/a"), ("dst:/in/", "dst:/in/a")]
)
def test_a_folder_inside(place: str, folder: str) -> None:
    assert inside(place, "a") == folder
