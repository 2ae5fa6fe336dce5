"""Manifests of applications that come as a chart: read, and checked before anything is made of them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

KINDS = frozenset({"ConfigMap", "Service", "ServiceAccount", "Deployment", "StatefulSet", "Job", "CronJob"})
"""What may be among them: nothing of the cluster, no rights, no routes past the gateway."""
REASONS = {
    "Secret": "secrets in manifests are readable by whoever reads the file; let the program make its own",
    "Ingress": "the gateway is the only way in; leave it out (`--set ingress.enabled=false`)",
    "PersistentVolumeClaim": "charts have no volumes here; keep the data elsewhere, or host the image itself",
}
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")

Document = dict[str, Any]


def read_manifests(file: Path) -> list[Document]:
    """Return the documents of a file.

    Raises:
        ValueError: it is not there, or no YAML.
    """
    try:
        found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"manifests {file} can't be read: {error}") from None
    return [document for document in found if document]


def check(documents: Sequence[Document], name: str) -> None:
    """Check that the documents are such that may be hosted.

    Raises:
        ValueError: says what is not, and why.
    """
    for document in documents:
        kind = document.get("kind")
        called = f"{kind} {(document.get('metadata') or {}).get('name')}"
        if kind not in KINDS:
            why = REASONS.get(str(kind), f"only {', '.join(sorted(KINDS))} may")
            raise ValueError(f"{called} can't be a part of application {name}: {why}")
        if (document["metadata"].get("namespace") or f"app-{name}") != f"app-{name}":
            raise ValueError(f"{called} of application {name} is of another namespace; leave it out of the manifests")
        if kind == "Service" and (document.get("spec") or {}).get("type", "ClusterIP") != "ClusterIP":
            raise ValueError(f"{called} of application {name} is open past the gateway; make it a ClusterIP")
    if loose := [image for image in images_of(documents) if not DIGEST.search(image)]:
        raise ValueError(
            f"images of application {name} must be named with their digest (@sha256:…): {', '.join(loose)}"
        )


def images_of(documents: Sequence[Document]) -> list[str]:
    """Return the images that the documents name."""
    return sorted({image for document in documents for image in _images(document)})


def _images(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("containers", "initContainers") and isinstance(part, list):
                yield from (str(container.get("image", "")) for container in part)
            else:
                yield from _images(part)
    elif isinstance(value, list):
        for part in value:
            yield from _images(part)
