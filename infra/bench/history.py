"""Results of earlier benches: a folder with a document of each."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from refsys.infra import paths
from refsys.infra.bench.results import FORMAT, Group, Results, Run
from refsys.infra.errors import UserError

REMEMBERED = 5
"""Results that a new one is compared with: the last ones, so that the base moves with what was accepted."""


def folder_of(environment: str) -> Path:
    """Where results of an environment are kept."""
    return paths.environment_home(environment) / "bench"


def save(folder: Path, results: Results) -> Path:
    """Keep a result; returns its file."""
    file = folder / results.case / f"{results.started:%Y%m%dT%H%M%S%fZ}.json"
    paths.write_private(file, results.model_dump_json(by_alias=True, indent=1) + "\n")
    return file


def read(file: Path) -> Results:
    """Read a result.

    Raises:
        UserError: it is none.
    """
    try:
        found = Results.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UserError(f"{file} is no result of the bench: {error}", fix="give a file of `processor bench`") from None
    if found.format != FORMAT:
        raise UserError(f"{file} has format {found.format}, not {FORMAT}", fix="run the bench again")
    return found


def earlier(folder: Path, results: Results) -> list[Results]:
    """The results before this one that it can be compared with, the oldest first."""
    files = sorted((folder / results.case).glob("*.json"))
    found = [known for known in map(read, files) if known.started < results.started and results.comparable(known)]
    return found[-REMEMBERED:]


def runs_of(before: Sequence[Results], group: Group) -> list[Run]:
    """The good runs of earlier results on the same machine and cores."""
    return [run for result in before for run in result.groups().get(group, [])]
