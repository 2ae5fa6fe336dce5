"""Command `python -m refsys.platform.images`."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from refsys.infra.errors import UserError
from refsys.platform.images import maven
from refsys.platform.images.builder import BuiltImage, build, image_names, input_digest
from refsys.platform.images.store import Store

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Container images from packages.")

PARALLEL = 3
"""Builds at a time: most of a build waits for downloads."""


@app.command("list")
def show() -> None:
    """Name the images and what goes into them."""
    for name in image_names():
        typer.echo(f"{name:26}{input_digest(name)}")


@app.command("build")
def make(names: Annotated[list[str], typer.Argument(help="Images, or 'all'.")]) -> None:
    """Build images that are not in the cache; print name, tag, digest, size and bill of materials."""
    started = time.monotonic()

    def report(line: str) -> None:
        typer.echo(f"[{time.monotonic() - started:5.0f} s] {line}", err=True)

    def one(name: str) -> BuiltImage:
        return build(name, report)

    with ThreadPoolExecutor(PARALLEL) as pool:
        for image in pool.map(one, image_names() if names == ["all"] else names):
            typer.echo(f"{image.name}:{image.version} {image.digest} {image.size / 1e6:.1f} MB {image.sbom_path}")


@app.command("lock")
def lock() -> None:
    """Resolve the Maven artefacts of the recipes anew and pin them."""
    typer.echo(str(maven.lock(Store())))


if __name__ == "__main__":
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
