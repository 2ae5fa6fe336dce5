"""Bills of materials of nodes, from their package databases."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refsys.infra.errors import UserError
from refsys.infra.playbook import PlaybookError, PlaybookRun, hosts
from refsys.platform.images import sbom
from refsys.platform.images.store import Json

FIELDS = 5


def bill(node: str, text: str) -> Json:
    """The bill of a node; `text` is its os-release, then lines of status, name, version, architecture and source."""
    release: dict[str, str] = {}
    components = []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == FIELDS and fields[0] == "installed":
            _, name, version, arch, source = fields
            distribution = f"{release['ID']}-{release['VERSION_ID']}"
            purl = sbom.debian_package(name, version, arch, source, distribution)
            components.append(sbom.component("library", name, version, purl, []))
        elif len(fields) == 1 and "=" in line:
            key, _, value = line.partition("=")
            release[key] = value.strip('"')
    document = sbom.document(node, release.get("VERSION_ID", ""), [entry["purl"] for entry in components], components)
    document["metadata"]["timestamp"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    document["metadata"]["component"] |= {"type": "device", "bom-ref": f"node:{node}"}
    return document


def read(environment: str, inventory: dict[str, Any], folder: Path) -> dict[str, Json]:
    """Read the packages of an environment's nodes; bill by node.

    Raises:
        UserError: a node can't be read.
    """
    try:
        PlaybookRun(environment, inventory, {})("packages", {"scan_folder": str(folder)})
    except PlaybookError as error:
        raise UserError(
            str(error), fix=f"./refsys status {environment}, mend what it names, then run this again"
        ) from None
    names = sorted(hosts(inventory))
    return {name: bill(name, (folder / f"{name}.packages").read_text()) for name in names}
