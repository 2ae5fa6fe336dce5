"""Go programs of the toolchain as layers, and the modules they were built from."""

import mmap
import shutil
from pathlib import Path

from refsys.infra.errors import UserError
from refsys.infra.toolchain import ensure_tool, load_lock
from refsys.platform.images import sbom
from refsys.platform.images.recipe import Go
from refsys.platform.images.store import Json

# Format of the build information that the Go linker writes (Go source: debug/buildinfo).
MAGIC = b"\xff Go buildinf:"
HEADER_SIZE = 32
SENTINEL_SIZE = 16


def version(go: Go) -> str:
    """Return the tool's version as a tag."""
    return "v" + load_lock()[go.tool].version


def identity(go: Go) -> str:
    """Return what identifies the tool's build."""
    tool = load_lock().get(go.tool)
    if tool is None:
        raise UserError(f"no tool is called {go.tool!r}", fix="take one of infra/toolchain/lock.toml")
    return f"{tool.version}-{tool.digest}"


def stage(go: Go, root: Path) -> list[Json]:
    """Copy the programs below `root`; build or download the tool first where needed."""
    folder = ensure_tool(go.tool) / "bin"
    components: list[Json] = []
    for destination, program in sorted(go.binaries.items()):
        source = folder / program
        if not source.is_file():
            there = ", ".join(sorted(path.name for path in folder.iterdir()))
            raise UserError(f"tool {go.tool} has no program {program!r}", fix=f"take one of: {there}")
        target = root / destination.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755)
        components += modules(source)
    return components


def modules(program: Path) -> list[Json]:
    """Return the Go release and the modules that a program was built from."""
    with program.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(MAGIC)
        if start < 0:
            raise UserError(f"{program} holds no Go build information", fix="build it with Go 1.18 or newer")
        release, end = _string(data, start + HEADER_SIZE)
        information, _ = _string(data, end)
    go = release.decode().removeprefix("go")
    # Vulnerabilities of Go itself are known by this name only.
    standard = {"cpe": f"cpe:2.3:a:golang:go:{go}:-:*:*:*:*:*:*"}
    components = [sbom.component("library", "stdlib", go, f"pkg:golang/stdlib@{go}", []) | standard]
    # Lines are `dep <module> <version> <hash>`; `=>` gives the module that replaces the line before.
    for line in information[SENTINEL_SIZE:-SENTINEL_SIZE].decode().splitlines():
        kind, _, rest = line.partition("\t")
        if kind in {"dep", "=>"}:
            name, module_version = rest.split("\t")[:2]
            if kind == "=>":
                components.pop()
            purl = f"pkg:golang/{'/'.join(map(sbom.quote, name.split('/')))}@{sbom.quote(module_version)}"
            components.append(sbom.component("library", name, module_version, purl, []))
    return components


def _string(data: mmap.mmap, position: int) -> tuple[bytes, int]:
    length = shift = 0
    while True:
        byte = data[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return data[position : position + length], position + length
