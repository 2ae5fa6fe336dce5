"""Model of the toolchain's lock file."""

import hashlib
import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent
LOCK_FILE = FOLDER / "lock.toml"
PROGRAMS = FOLDER / "programs"
MODULES = FOLDER / "modules"


class Strict(BaseModel):
    """Base of the lock's models: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Download(Strict):
    """A vendor's published file that can stand in for a build."""

    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    unpack: dict[str, str] = Field(description="member of the archive (or '' for the file itself) → place")


class ModuleFile(Strict):
    """A file or folder of a Go module that belongs to the tool."""

    module: str
    path: str
    to: str
    executable: bool = False


class Tool(Strict):
    """One pinned tool: Go modules that are built, or Debian packages that nodes install."""

    name: str
    version: str
    debian: list[str] = Field(default=[], description="Debian packages; installed on nodes, nothing to build")
    modules: dict[str, str] = Field(default={}, description="Go module → version")
    replace: dict[str, str] = Field(default={}, description="module → version, or module@version")
    sums: list[str] = Field(default=[], description="lines of go.sum that the checksum database can't give")
    packages: list[str] = Field(default=[], description="Go packages to build; '.' is programs/<name>")
    variables: dict[str, str] = Field(default={}, description="link-time string variables")
    tags: list[str] = []
    files: list[ModuleFile] = []
    download: list[Download] = []
    optional: bool = Field(default=False, description="not built for an environment, only for the command that asks")
    seconds: int = Field(default=0, description="build time on two busy cores, for the estimate")

    @property
    def digest(self) -> str:
        """Identity of the recipe: changes whenever the built result could."""
        sha = hashlib.sha256(self.model_dump_json(exclude={"seconds", "download", "sums", "optional"}).encode())
        for folder in (PROGRAMS / self.name, MODULES / self.name):
            for path in sorted(folder.glob("*")):
                sha.update(path.name.encode() + path.read_bytes())
        return sha.hexdigest()[:12]


@cache
def load_lock() -> dict[str, Tool]:
    """Read the lock file: tool by name, in the order in which they should be built."""
    entries = tomllib.loads(LOCK_FILE.read_text())
    return {name: Tool(name=name, **entry) for name, entry in entries.items()}
