"""Software bills of materials in CycloneDX 1.6 JSON (ECMA-424)."""

import uuid
from datetime import UTC, datetime
from urllib.parse import quote as percent

from refsys.platform.images.store import EPOCH, Json

MEDIA_TYPE = "application/vnd.cyclonedx+json"


def quote(text: str) -> str:
    """Encode a part of a package URL."""
    return percent(text, safe=":")


def debian_package(name: str, version: str, arch: str, source: str = "", distribution: str = "debian-12") -> str:
    """Return a Debian package's URL; `source` is as dpkg names it (`name` or `name (version)`), empty where the same.

    Distributions name vulnerabilities by source packages: scanners need the qualifier `upstream`.
    """
    namespace = distribution.partition("-")[0]
    url = f"pkg:deb/{namespace}/{quote(name)}@{quote(version)}?arch={arch}&distro={distribution}"
    origin, _, origin_version = source.rstrip(")").partition(" (")
    if origin in {"", name} and origin_version in {"", version}:
        return url
    return f"{url}&upstream={quote(f'{origin}@{origin_version or version}')}"


def component(kind: str, name: str, version: str, purl: str, licences: list[str]) -> Json:
    """Return one component; `licences` are names as their source gives them, `purl` identifies it."""
    entry: Json = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licences:
        entry["licenses"] = [{"license": {"name": licence}} for licence in licences]
    return entry


def document(image: str, version: str, layers: list[str], components: list[Json], kind: str = "container") -> Json:
    """Return the bill of an image; the same layers give the same document, serial number and all.

    `kind` is CycloneDX's type of what the bill is of.
    """
    unique = {entry["bom-ref"]: entry for entry in components}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join([image, *layers]))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(EPOCH, UTC).isoformat().replace("+00:00", "Z"),
            "component": {"type": kind, "bom-ref": f"image:{image}", "name": image, "version": version},
        },
        "components": [unique[reference] for reference in sorted(unique)],
    }
