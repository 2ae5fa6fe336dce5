"""Scan an environment's nodes, write the report, keep the older ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.playbook import PlaybookError, PlaybookRun, hosts
from refsys.security.compliance import page, report
from refsys.security.compliance.report import Document, Node
from refsys.security.compliance.results import ResultError


@dataclass(frozen=True)
class Run:
    """A report, and the folder where it lies as `report.json` and `report.html`."""

    document: Document
    folder: Path


def run(environment: str) -> Run:
    """Run the tools on every node of an environment, and report.

    Raises:
        UserError: the environment isn't up, or a scan failed.
    """
    inventory = json.loads(paths.file_of_running(environment, "inventory.yml").read_text())
    folder = paths.environment_home(environment) / "compliance"
    try:
        PlaybookRun(environment, inventory, {})("compliance", {"compliance_folder": str(folder / "results")})
        document = report.make(environment, nodes_of(inventory), folder / "results", report.last(folder))
    except (PlaybookError, ResultError) as error:
        raise UserError(
            str(error), fix=f"./refsys status {environment}, mend what it names, then run this again"
        ) from None
    write(document, folder)
    return Run(document, folder)


def nodes_of(inventory: dict[str, Any]) -> list[Node]:
    """The inventory's nodes with what decides on their rules."""
    common = inventory["all"].get("vars", {})
    return [
        Node(
            name,
            profile=values.get("os_hardening_profile", "server"),
            shared_kernel=bool(values.get("os_hardening_shared_kernel")),
            switched=values.get("os_hardening_rules", {}),
        )
        for name, values in ((name, common | own) for name, own in sorted(hosts(inventory).items()))
    ]


def write(document: Document, folder: Path) -> None:
    """Put the report in place of the last one, which stays under `history/`."""
    last = folder / "report.json"
    if last.exists():
        history = folder / "history"
        history.mkdir(exist_ok=True)
        moment = json.loads(last.read_text())["time"].replace(":", "")
        last.rename(history / f"{moment}.json")
    paths.write_private(last, json.dumps(document, indent=1) + "\n")
    paths.write_private(folder / "report.html", page.render(document))
