"""Scan, write the report, keep the older ones."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from refsys.infra import paths
from refsys.platform.images.store import Json
from refsys.security.scans import bills, database, hosts, licences, network, page, policy, report, secrets, waivers
from refsys.security.scans.report import Document, Result, Scan
from refsys.security.scans.vulnerabilities import examine


@dataclass(frozen=True)
class Run:
    """A report, and the folder where it lies as `report.json` and `report.html`."""

    document: Document
    folder: Path


def run(scan: Scan, environment: str) -> Run:
    """Scan, and report.

    Raises:
        UserError: what is scanned is not there, the vulnerability database is missing or too old, a waiver has ended.
    """
    folder = paths.environment_home(environment) / "scans" / scan
    document = report.make(scan, environment, SCANS[scan](environment, folder))
    write(document, folder)
    return Run(document, folder)


def write(document: Document, folder: Path) -> None:
    """Put the report in place of the last one, which stays under `history/`."""
    last = folder / "report.json"
    if last.exists():
        (folder / "history").mkdir(exist_ok=True)
        moment = json.loads(last.read_text())["time"].replace(":", "")
        last.rename(folder / "history" / f"{moment}.json")
    paths.write_private(last, json.dumps(document, indent=1) + "\n")
    paths.write_private(folder / "report.html", page.render(document))


def _images(_: str, folder: Path) -> Result:
    return _vulnerabilities({name: json.loads(file.read_text()) for name, file in bills.of_images().items()}, folder)


def _hosts(environment: str, folder: Path) -> Result:
    inventory = json.loads(paths.file_of_running(environment, "inventory.yml").read_text())
    # What nodes get from here besides Debian's packages, and what sets them up.
    here = {"tools": bills.of_tools(), "python": bills.of_python()}
    _ready()
    return _vulnerabilities(hosts.read(environment, inventory, folder / "packages") | here, folder)


def _vulnerabilities(documents: Mapping[str, Json], folder: Path) -> Result:
    files = {}
    for name, document in documents.items():
        files[name] = folder / "bills" / f"{name}.cdx.json"
        paths.write_private(files[name], json.dumps(document, indent=1) + "\n")
    return examine(files, len({entry["purl"] for document in documents.values() for entry in document["components"]}))


def _ready() -> None:
    """Fail before anything that takes time."""
    waivers.load()
    database.fresh(policy.load().database_days)


def _network(environment: str, _: Path) -> Result:
    return network.examine(environment, paths.file_of_running(environment, "inventory.yml").read_text())


def _licences(_: str, __: Path) -> Result:
    images = {name: json.loads(file.read_text()) for name, file in bills.of_images().items()}
    return licences.examine(images | {"tools": bills.of_tools(), "python": bills.of_python()})


def _secrets(_: str, __: Path) -> Result:
    return secrets.examine()


SCANS: Mapping[Scan, Callable[[str, Path], Result]] = {
    Scan.IMAGES: _images,
    Scan.HOSTS: _hosts,
    Scan.NETWORK: _network,
    Scan.LICENCES: _licences,
    Scan.SECRETS: _secrets,
}
