"""Images of virtual machines on the command line."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra.cli import packages
from refsys.infra.cli.steps import Steps
from refsys.infra.errors import UserError
from refsys.infra.vm_image import build as images
from refsys.infra.vm_image import recipe

app = typer.Typer(no_args_is_help=True, help="The image of virtual machines: build, list.")


@app.command()
def build(
    output: Annotated[Path | None, typer.Option(help="Where a copy of the qcow2 goes.", metavar="FILE")] = None,
) -> None:
    """Build the hardened Debian 12 image of this version, or take it from the cache."""
    console = Console()
    if output and not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent}", fix="make it, or name another file")
    packages.install(images.HOST_PACKAGES, console)
    image = images.found(recipe.name())
    if image is None:
        console.print(f"about {images.estimate() / 60:.0f} min to go", highlight=False)
        with Steps(console) as steps:
            image = images.built_image(steps.step)
    if output:
        _copy(image.qcow2, output)
    for title, text in _described(image, output).items():
        console.print(f"{title:8}{text}", highlight=False, soft_wrap=True)


@app.command("list")
def show() -> None:
    """Show the images in the cache, and which one is of this version."""
    console, current = Console(), recipe.name()
    shown = Table("image", "qcow2", "disk", "sha256", "state")
    built = {folder.name for folder in images.folder(current).parent.glob("[!.]*") if folder.is_dir()}
    for name in sorted(built | {current}):
        image = images.found(name)
        state = "of this version" if name == current else "of another version"
        if image is None:
            shown.add_row(name, "", "", "", f"{state}, not built")
        else:
            size = f"{image.qcow2.stat().st_size / 2**20:.0f} MiB"
            shown.add_row(name, size, f"{image.disk_gib} GiB", image.sha256[:12], state)
    console.print(shown)


def _described(image: images.VmImage, output: Path | None) -> dict[str, str]:
    size = image.qcow2.stat().st_size / 2**20
    copy = {"copy": str(output)} if output else {}
    return {
        "image": f"{image.name}, {size:.0f} MiB; disks of at least {image.disk_gib} GiB",
        "qcow2": str(image.qcow2),
        "raw": str(image.raw),
        "sha256": image.sha256,
        "sbom": str(image.sbom),
    } | copy


def _copy(source: Path, target: Path) -> None:
    """Put a copy in its place, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=target.absolute().parent, prefix=f".{target.name}.", delete=False) as new:
        part = Path(new.name)
    try:
        shutil.copyfile(source, part)
        part.chmod(0o644)
        part.rename(target)
    except OSError as error:
        raise UserError(f"{target} can't be written: {error}", fix="free some space, or name another file") from None
    finally:
        part.unlink(missing_ok=True)
