"""Registered processors: images by digest that are signed, and in which the scan found nothing beyond the policy."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.health.api_server import ApiServer, SilentError
from refsys.platform.images import cached
from refsys.security.scans import vulnerabilities
from refsys.security.scans.report import Result, Scan, make
from refsys.services.common.messages import Model, Timestamp, utc_now

SIGNED = "/api/v1/namespaces/kube-system/configmaps/refsys-signed-images"
"""What admission asks (`refsys.security.components.admission`)."""
DIGEST, DIGITS = "@sha256:", 64


class Registered(Model):
    """A processor that may be benched."""

    name: str
    version: str
    image: str
    """Its reference with digest."""
    registered: Timestamp
    scan: dict[str, Any]
    """The report of the scan, as `./refsys scan` has it."""


def register(environment: str, name: str, version: str, image: str, bill: Path | None) -> Registered:
    """Register an image: one of the distribution by its name, another one by its reference and bill of materials.

    Raises:
        UserError: it is not signed, or the scan has findings beyond the policy.
    """
    signed = signed_images(environment)
    if DIGEST in image:
        reference, known = image, bill
    else:
        built = cached(image)
        if built is None:
            raise UserError(
                f"{image!r} is neither an image of the distribution that was built here nor a reference with digest",
                fix="./refsys up builds them; name others as registry.DOMAIN:5000/refsys/NAME@sha256:…",
            )
        digest = built.digest.removeprefix("sha256:")
        reference = f"{signed.get(digest, image)}{DIGEST}{digest}"
        known = bill or built.sbom_path
    check_signed(reference, signed)
    if known is None:
        raise UserError(
            f"there is no bill of materials of {reference}, so that it can't be scanned",
            fix="give its CycloneDX document: --bill FILE",
        )
    found = scanned(name, known)
    document = make(Scan.IMAGES, environment, found)
    if found.findings:
        worst = ", ".join(f"{each.id} in {each.what} ({each.level})" for each in found.findings[:5])
        raise UserError(
            f"{len(found.findings)} findings beyond the policy in {reference}: {worst}",
            fix="mend them, or judge them in security/scans/waivers.yaml",
        )
    made = Registered(name=name, version=version, image=reference, registered=utc_now(), scan=document)
    paths.write_private(_file(environment, name), made.model_dump_json(by_alias=True, indent=1) + "\n")
    return made


def signed_images(environment: str) -> dict[str, str]:
    """Digest → repository of the images whose signatures `up` found right: what the cluster admits.

    Raises:
        UserError: the cluster doesn't answer.
    """
    try:
        with ApiServer(paths.file_of_running(environment, "kubeconfig")) as server:
            found: dict[str, str] = json.loads(server.text(SIGNED))["data"]
    except (SilentError, KeyError, ValueError) as error:
        raise UserError(
            f"the images that are signed can't be read: {error}", fix=f"./refsys status {environment} says what is down"
        ) from None
    return {key: name for key, name in found.items() if len(key) == DIGITS}


def check_signed(reference: str, signed: Mapping[str, str]) -> None:
    """Refuse an image that is not signed, or under another name."""
    name, _, digest = reference.partition(DIGEST)
    if signed.get(digest) != name:
        other = f": that digest is signed as {signed[digest]}" if digest in signed else ""
        raise UserError(
            f"{reference} is not among the signed images{other}",
            fix="build and sign it as an image of the distribution (docs/images.md), then ./refsys up",
        )


def scanned(name: str, bill: Path) -> Result:
    """What the scan of a bill of materials finds."""
    try:
        components = json.loads(bill.read_text(encoding="utf-8")).get("components", [])
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{bill} is no bill of materials: {error}", fix="give a CycloneDX document (JSON)") from None
    if not components:
        raise UserError(f"{bill} names no component", fix="give the bill of the whole image")
    return vulnerabilities.examine({name: bill}, len(components))


def find(environment: str, name: str) -> Registered:
    """A registered processor; its scan is as old as the registration.

    Raises:
        UserError: there is none of that name.
    """
    file = _file(environment, name)
    if not file.exists():
        known = ", ".join(each.name for each in listed(environment)) or "none"
        raise UserError(
            f"processor {name!r} is not registered in {environment} (known: {known})",
            fix=f"./refsys processor register {name} {environment} --image …",
        )
    return _read(file)


def listed(environment: str) -> list[Registered]:
    """All of them, by name."""
    return [_read(file) for file in sorted(_file(environment, "x").parent.glob("*.json"))]


def _read(file: Path) -> Registered:
    try:
        return Registered.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise UserError(f"{file} can't be read: {error}", fix="register the processor again") from None


def _file(environment: str, name: str) -> Path:
    return paths.environment_home(environment) / "processors" / f"{name}.json"
