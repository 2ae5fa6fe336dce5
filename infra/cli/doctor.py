"""`./refsys doctor`: evidence of an environment in one archive, with secrets masked."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pulumi import automation
from rich.console import Console

from refsys.infra import paths
from refsys.infra.cli.steps import Steps
from refsys.infra.doctor import collect, known
from refsys.infra.doctor.archive import Archive
from refsys.infra.doctor.masks import Masks
from refsys.infra.errors import UserError
from refsys.infra.health.examine import examine
from refsys.infra.health.parts import Report
from refsys.infra.shell import CommandError

console = Console()

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]


def doctor(name: Name = "local") -> None:
    """Collect evidence into one archive, with secrets masked; it works when the environment is down, too."""
    if not paths.environment_home(name).is_dir():
        raise UserError(f"there is no environment {name}", fix=f"./refsys up {name}, or name another")
    file = paths.home() / "doctor" / f"refsys-doctor-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    report, masked = _collect(name, file)
    if report:
        report.show(console)
    size = file.stat().st_size / 2**20
    console.print(f"{file} ({size:.1f} MiB; {masked} secrets masked)", highlight=False, soft_wrap=True)


def _collect(name: str, file: Path) -> tuple[Report | None, int]:
    failures: list[str] = []
    with Steps(console) as steps:
        with steps.step("look for what is secret"):
            deployment, secrets = _secrets(name, failures)
        masks = Masks(secrets)
        with Archive(file, masks) as archive:
            for title, section in collect.sections(deployment):
                steps.begin(title, title)
                try:
                    section(name, archive.add)
                except collect.ERRORS as error:
                    failures.append(f"{title}: {error}")
                    steps.end(title, f"not all: {masks(_first_line(error))}", ok=False)
                else:
                    steps.end(title)
            with steps.step("examine"):
                report = _examine(name, archive, failures)
            archive.add("not-collected.txt", "\n".join(failures) + "\n" if failures else "everything was collected\n")
    return report, masks.count


def _secrets(name: str, failures: list[str]) -> tuple[dict[str, Any], set[str]]:
    """The stack's state, and all secrets that are known."""
    try:
        deployment = known.state(name)
    except (automation.CommandError, OSError, CommandError, ValueError) as error:
        failures.append(f"state of the stack: {_first_line(error)}; files and patterns alone told what to mask")
        deployment = {}
    return deployment, known.of_state(deployment) | known.of_files(name)


def _examine(name: str, archive: Archive, failures: list[str]) -> Report | None:
    try:
        report = examine(name)
    except UserError as error:
        failures.append(f"examination: {error}")
        return None
    text = io.StringIO()
    report.show(Console(file=text, width=200))
    archive.add("summary.txt", text.getvalue())
    archive.add("summary.json", collect.as_json(report.as_dict()))
    return report


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
