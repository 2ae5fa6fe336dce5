"""Recipes: what an image is made of. One YAML file per image, checked before anything is built."""

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from refsys.infra.errors import UserError
from refsys.infra.toolchain import load_lock

FOLDER = Path(__file__).resolve().parent
RECIPES = FOLDER / "recipes"
BASES = RECIPES / "base"
FILES = FOLDER / "files"

MERGED = ("bin", "sbin", "lib", "lib32", "lib64")
"""Folders that Debian links into /usr: a layer must not replace the link by a folder."""


def _absolute(path: str) -> str:
    if not path.startswith("/") or str(PurePosixPath(path)) != path or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not a plain absolute path; write it like /usr/bin/program")
    if path.split("/")[1] in MERGED:
        raise ValueError(f"{path!r} lies in a folder that Debian links into /usr; write /usr{path}")
    return path


ImagePath = Annotated[str, AfterValidator(_absolute)]
Uid = Annotated[int, Field(ge=0, le=65535)]


class Strict(BaseModel):
    """Base of the recipe models: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Go(Strict):
    """Programs of a tool of `infra/toolchain/lock.toml`."""

    tool: str
    binaries: dict[ImagePath, str] = Field(min_length=1, description="path in the image → program of the tool")
    bind_low_ports: bool = Field(default=False, description="file capability cap_net_bind_service")


class C(Strict):
    """A static program compiled from one C file in `files/<image>.c`."""

    program: ImagePath


class Maven(Strict):
    """Artefacts from Maven repositories with everything they need; pinned by hash in `maven.lock.json`."""

    artifacts: list[Annotated[str, Field(pattern=r"^[^:\s]+:[^:\s]+:[^:\s]+(:[^:\s]+)?$")]] = Field(min_length=1)
    dest: ImagePath
    unpack: bool = Field(default=False, description="the artefact is a tar.gz: unpack it without its top folder")
    elsewhere: dict[ImagePath, list[str]] = Field(
        default={}, description="folder → beginnings of `group:name`: these artefacts go there and not to `dest`"
    )

    def folder(self, artifact: str) -> str:
        """Return where the artefact `group:name` goes."""
        chosen = (folder for folder, starts in self.elsewhere.items() if artifact.startswith(tuple(starts)))
        return next(chosen, self.dest)


class Python(Strict):
    """Wheels of a requirements file with hashes, and packages of this project."""

    requirements: str = Field(description="requirements file with hashes, relative to the checkout")
    dest: ImagePath
    packages: list[str] = Field(default=[], description="folders of the checkout, imported as refsys.<folder>")


class Recipe(Strict):
    """One image. Its layers come in the order of the fields `debian` … `run`, after those of `parent`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str
    version: str | None = Field(default=None, description="tag; by default the version of the Go tool")
    parent: str | None = Field(default=None, alias="from", description="recipe whose layers come first")
    bootstrap: str | None = Field(default=None, description="Debian suite: start from its essential packages")
    users: dict[str, Uid] = Field(default={}, description="names for numeric users, each with a group of its own")
    debian: list[str] = Field(default=[], description="Debian packages to install")
    debian_data: list[str] = Field(default=[], description="Debian packages of which only the files are taken")
    remove: list[ImagePath] = Field(default=[], description="files that the packages' scripts made")
    maven: Maven | None = None
    python: Python | None = None
    go: Go | None = None
    c: C | None = None
    directories: dict[ImagePath, Uid] = Field(default={}, description="folder → owner, mode 0755")
    links: dict[ImagePath, str] = Field(default={}, description="symbolic link → target")
    run: list[list[str]] = Field(default=[], description="commands inside the image, without a network")
    user: Uid = 65532
    entrypoint: list[str] = []
    cmd: list[str] = []
    env: dict[str, str] = {}
    workdir: ImagePath = "/"
    labels: dict[str, str] = {}
    optional: bool = Field(default=False, description="only environments have it that ask for it")
    stop_signal: str | None = Field(default=None, pattern=r"^SIG[A-Z0-9]+$", description="by default SIGTERM")

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.bootstrap and self.parent:
            raise ValueError("'bootstrap' starts a new file tree, 'from' continues one; give only one of them")
        if self.remove and not (self.debian or self.bootstrap):
            raise ValueError("'remove' is for files that Debian packages made, but the recipe installs none")
        if self.debian_data and self.debian:
            raise ValueError("'debian' and 'debian_data' exclude each other: installed packages have their files")
        return self

    @property
    def files(self) -> Path:
        """Folder whose content goes into the image as it is (it need not exist)."""
        return FILES / self.name


@cache
def load(name: str) -> Recipe:
    """Read and check one recipe; raise UserError that names the field, the value and the fix."""
    path = next((p for folder in (RECIPES, BASES) if (p := folder / f"{name}.yaml").is_file()), None)
    if path is None:
        raise UserError(f"there is no image recipe {name!r}", fix=f"take one of: {', '.join(_all_names())}")
    return parse(path)


def parse(path: Path) -> Recipe:
    """Read and check the recipe in `path`; the file's name is the image's name."""
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise UserError(f"{path.name} is not a YAML mapping", fix="see docs/images.md for the fields")
        return Recipe.model_validate({"name": path.stem} | content)
    except yaml.YAMLError as error:
        raise UserError(f"{path.name} is not YAML: {error}", fix="correct the line it names") from error
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, e['loc'])) or 'recipe'} = {e['input']!r}: {e['msg']}" for e in error.errors()
        )
        raise UserError(f"{path.name}:\n{problems}", fix="correct these fields; see docs/images.md") from error


def chain(name: str) -> list[Recipe]:
    """Return the recipe and those it is based on, base first."""
    recipes = [load(name)]
    while recipes[0].parent:
        if any(r.name == recipes[0].parent for r in recipes):
            raise UserError(f"recipe {name!r} is based on itself", fix="break the circle of 'from'")
        recipes.insert(0, load(recipes[0].parent))
    return recipes


def image_names() -> list[str]:
    """Names of the images that every environment runs (bases are not among them)."""
    optional = optional_image_names()
    return [name for name in _all_names() if name not in optional]


def optional_image_names() -> list[str]:
    """Names of the images that only environments run that ask for them: by themselves, or by their tool."""
    tools = {name for name, tool in load_lock().items() if tool.optional}
    recipes = {name: load(name) for name in _all_names()}
    return [name for name, recipe in recipes.items() if recipe.optional or (recipe.go and recipe.go.tool in tools)]


def _all_names() -> list[str]:
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))
