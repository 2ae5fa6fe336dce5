"""Build images: layers from the cache or made now, then configuration, manifest and bill of materials."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from refsys.platform.images import golang, sbom
from refsys.platform.images.layers import MEDIA_TYPE as LAYER_TYPE
from refsys.platform.images.recipe import Recipe, chain, image_names, optional_image_names
from refsys.platform.images.steps import FORMAT, Step, steps
from refsys.platform.images.store import Json, Layer, Store, canonical, digest_of

__all__ = ["BuiltImage", "build", "cached", "image_names", "image_version", "input_digest", "optional_image_names"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
CREATED = "2025-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

log = logging.getLogger(__name__)

Report = Callable[[str], None]
"""Called with one line for each step that takes time."""


@dataclass(frozen=True)
class BuiltImage:
    """An image in the cache."""

    name: str
    version: str
    digest: str
    """Digest of the manifest."""
    size: int
    """Bytes of all compressed layers."""
    manifest_path: Path
    sbom_path: Path


def input_digest(name: str) -> str:
    """Return a hash of all that goes into an image, without building it.

    Debian packages count by name: their versions are those of the day on which the layer was made, until
    the folder `images` of the cache is removed.
    """
    recipes = chain(name)
    keys = [step.key for step in steps(recipes)]
    return digest_of(canonical([FORMAT, keys, _configuration(recipes, []), version(recipes[-1])]))


def version(recipe: Recipe) -> str:
    """Return the tag of an image."""
    return recipe.version or (golang.version(recipe.go) if recipe.go else "0")


def image_version(name: str) -> str:
    """Return the tag of the image called `name`."""
    return version(chain(name)[-1])


def build(name: str, report: Report = log.info, store: Store | None = None) -> BuiltImage:
    """Build an image or take it from the cache. Processes may build the same image at the same time."""
    store = store or Store()
    recipes = chain(name)
    index = _index(store, name)
    if built := _read(store, index):
        return built
    layers: list[Layer] = []
    for step in steps(recipes):
        layers.append(_layer(store, step, layers, report))
    built = _assemble(store, recipes, layers)
    entry = {"name": built.name, "version": built.version, "digest": built.digest, "size": built.size}
    store.write(index, canonical(entry | {"sbom": digest_of(built.sbom_path.read_bytes())}))
    return built


def cached(name: str, store: Store | None = None) -> BuiltImage | None:
    """Return an image as the cache has it, or nothing where it would have to be built."""
    store = store or Store()
    return _read(store, _index(store, name))


def _index(store: Store, name: str) -> Path:
    return store.root / "built" / f"{name}-{input_digest(name).removeprefix('sha256:')[:16]}.json"


def _read(store: Store, index: Path) -> BuiltImage | None:
    if not index.is_file():
        return None
    entry = json.loads(index.read_text())
    manifest, bill = store.blob(entry["digest"]), store.blob(entry.pop("sbom"))
    if not (manifest.is_file() and bill.is_file()):
        return None
    parts = json.loads(manifest.read_text())
    if not all(store.blob(part["digest"]).is_file() for part in [parts["config"], *parts["layers"]]):
        return None
    return BuiltImage(**entry, manifest_path=manifest, sbom_path=bill)


def _layer(store: Store, step: Step, below: list[Layer], report: Report) -> Layer:
    if layer := store.layer(step.key):
        return layer
    with store.lock(step.key):
        if layer := store.layer(step.key):
            return layer
        report(f"{step.title}")
        layer = step.make(store, below)
        store.keep_layer(step.key, layer)
        report(f"{step.title}: {layer.size / 1e6:.1f} MB")
        return layer


def _assemble(store: Store, recipes: list[Recipe], layers: list[Layer]) -> BuiltImage:
    recipe = recipes[-1]
    config = canonical(_configuration(recipes, layers))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": store.add(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": x.digest, "size": x.size} for x in layers],
    }
    components = [component for layer in layers for component in layer.components]
    bill = sbom.document(recipe.name, version(recipe), [x.diff_id for x in layers], components)
    digest = store.add(canonical(manifest))
    return BuiltImage(
        name=recipe.name,
        version=version(recipe),
        digest=digest,
        size=sum(layer.size for layer in layers),
        manifest_path=store.blob(digest),
        sbom_path=store.blob(store.add(canonical(bill))),
    )


def _configuration(recipes: list[Recipe], layers: list[Layer]) -> Json:
    """Return the OCI image configuration; environment and labels add up along the chain of recipes."""
    recipe = recipes[-1]
    environment = {"PATH": PATH}
    labels: dict[str, str] = {}
    for part in recipes:
        environment |= part.env
        labels |= part.labels
    labels |= {
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.description": recipe.description,
        "org.opencontainers.image.version": version(recipe),
    }
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {
            "User": f"{recipe.user}:{recipe.user}",
            "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
            "Entrypoint": recipe.entrypoint,
            "Cmd": recipe.cmd,
            "WorkingDir": recipe.workdir,
            "Labels": labels,
        }
        | ({"StopSignal": recipe.stop_signal} if recipe.stop_signal else {}),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [],
    }
