"""Artefacts from Maven repositories, pinned with everything they need in `maven.lock.json`."""

import hashlib
import json
import re
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import escape
from zipfile import ZipFile

from pydantic import BaseModel, ConfigDict, TypeAdapter

from refsys.infra.errors import UserError
from refsys.platform.images import licences, sbom
from refsys.platform.images.isolation import run
from refsys.platform.images.recipe import FOLDER, Maven, Recipe, image_names, load
from refsys.platform.images.store import Json, Store

LOCK_FILE = FOLDER / "maven.lock.json"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
MANIFEST = "META-INF/MANIFEST.MF"
NAMESPACE = "{http://maven.apache.org/POM/4.0.0}"


class Artifact(BaseModel):
    """One pinned file of a Maven repository."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str
    name: str
    version: str
    type: str = "jar"
    classifier: str = ""
    sha256: str
    licences: list[str] = []

    @property
    def filename(self) -> str:
        """Name of the file in a repository."""
        return f"{self.name}-{self.version}{'-' * bool(self.classifier)}{self.classifier}.{self.type}"

    @property
    def key(self) -> str:
        """Its group and name, without the version."""
        return f"{self.group}:{self.name}"

    @property
    def component(self) -> Json:
        """Entry for the bill of materials."""
        purl = f"pkg:maven/{self.group}/{self.name}@{self.version}?type={self.type}"
        return sbom.component("library", self.key, self.version, purl, self.licences)


LOCK = TypeAdapter(dict[str, list[Artifact]])


def locked(recipe: Recipe, maven: Maven) -> list[Artifact]:
    """Return the pinned artefacts of an image."""
    artifacts = LOCK.validate_json(LOCK_FILE.read_bytes()).get(recipe.name, [])
    there = {(a.group, a.name, a.version) for a in artifacts}
    if missing := [c for c in maven.artifacts if tuple(c.split(":")[:3]) not in there]:
        raise UserError(
            f"{LOCK_FILE.name} does not pin {', '.join(missing)} for image {recipe.name}",
            fix="run: python -m refsys.platform.images lock",
        )
    return artifacts


def identity(recipe: Recipe, maven: Maven) -> str:
    """Return a hash of the pinned artefacts."""
    return hashlib.sha256(LOCK.dump_json({recipe.name: locked(recipe, maven)})).hexdigest()


def stage(store: Store, recipe: Recipe, maven: Maven, root: Path) -> list[Json]:
    """Fetch the pinned artefacts, check them and put them below `root`."""
    artifacts = locked(recipe, maven)
    target = root / maven.dest.lstrip("/")
    target.mkdir(parents=True)
    check_elsewhere(recipe, maven, artifacts)
    with store.scratch() as work:
        _copy(store, work, [_dependency(a, alone=True) for a in artifacts])
        for artifact in artifacts:
            file = work / "out" / artifact.filename
            if (found := _sha256(file)) != artifact.sha256:
                raise UserError(
                    f"{artifact.filename} has SHA-256 {found}, {LOCK_FILE.name} says {artifact.sha256}",
                    fix="the repository serves another file: find out why before you change the lock",
                )
            if maven.unpack:
                _unpack(file, target)
            else:
                placed = root / maven.folder(artifact.key).lstrip("/") / artifact.filename
                placed.parent.mkdir(parents=True, exist_ok=True)
                file.rename(placed)
                placed.chmod(0o644)
    components = [artifact.component for artifact in artifacts]
    return components + (_bundled(target) if maven.unpack else [])


def check_elsewhere(recipe: Recipe, maven: Maven, artifacts: list[Artifact]) -> None:
    """Raise UserError if `elsewhere` names what is not among the artefacts."""
    for start in (start for starts in maven.elsewhere.values() for start in starts):
        if not any(artifact.key.startswith(start) for artifact in artifacts):
            raise UserError(
                f"recipe {recipe.name}: no artefact begins with {start!r}, which 'elsewhere' names",
                fix="correct it, or leave it out",
            )


def lock(store: Store) -> Path:
    """Resolve the artefacts of all recipes and write the lock file."""
    entries: dict[str, list[Artifact]] = {}
    for recipe in map(load, image_names()):
        if recipe.maven:
            with store.scratch() as work:
                roots = [_parse(coordinates) for coordinates in recipe.maven.artifacts]
                _copy(store, work, [_dependency(root, alone=recipe.maven.unpack) for root in roots])
                entries[recipe.name] = [
                    _pin(store, path.relative_to(work / "repository"), path)
                    for path in sorted((work / "repository").rglob("*"))
                    if path.is_file() and _is_artifact(path)
                ]
    text = json.dumps(LOCK.dump_python(entries, exclude_defaults=True), indent=1) + "\n"
    store.write(LOCK_FILE, text.encode())
    return LOCK_FILE


def _copy(store: Store, work: Path, dependencies: list[str]) -> None:
    pom = work / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>refsys</groupId><artifactId>image</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{''.join(dependencies)}</dependencies></project>"
    )
    command = ["mvn", "-B", "-ntp", "-f", str(pom), f"-Dmaven.repo.local={store.root / 'maven'}", PLUGIN]
    command += ["-DincludeScope=runtime"]
    with store.lock("maven"):
        run([*command, f"-DoutputDirectory={work / 'out'}"])
        run([*command, "-o", f"-DoutputDirectory={work / 'repository'}", "-Dmdep.useRepositoryLayout=true"])


def _dependency(artifact: Artifact, *, alone: bool) -> str:
    fields = {"groupId": artifact.group, "artifactId": artifact.name, "version": artifact.version}
    fields |= {"type": artifact.type, "classifier": artifact.classifier}
    text = "".join(f"<{tag}>{escape(value)}</{tag}>" for tag, value in fields.items() if value)
    everything = "<exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>"
    return f"<dependency>{text}{f'<exclusions>{everything}</exclusions>' if alone else ''}</dependency>"


def _parse(coordinates: str) -> Artifact:
    group, name, version, *rest = coordinates.split(":")
    return Artifact(group=group, name=name, version=version, type=rest[0] if rest else "jar", sha256="")


def _is_artifact(path: Path) -> bool:
    """Tell artefacts from POMs and from Maven's own notes in a repository."""
    return path.name.startswith(f"{path.parts[-3]}-{path.parts[-2]}") and path.suffix != ".pom"


def _pin(store: Store, place: Path, path: Path) -> Artifact:
    """Read an artefact's coordinates off its place in a repository: <group…>/<name>/<version>/<file>."""
    *group, name, version, filename = place.parts
    classifier, _, kind = filename.removeprefix(f"{name}-{version}").lstrip("-").partition(".")
    artifact = Artifact(
        group=".".join(group), name=name, version=version, type=kind, classifier=classifier, sha256=_sha256(path)
    )
    return artifact.model_copy(update={"licences": _licences(store, artifact.group, name, version)})


def _licences(store: Store, group: str, name: str, version: str) -> list[str]:
    """Return the licences that a POM or the nearest of its parents names."""
    pom = store.root / "maven" / group.replace(".", "/") / name / version / f"{name}-{version}.pom"
    if not pom.is_file():
        return []
    project = ET.parse(pom).getroot()  # noqa: S314 - see the import
    if names := _named(project):
        return names
    parent = project.find(f"{NAMESPACE}parent")
    if parent is None:
        return []
    fields = [parent.findtext(NAMESPACE + tag, "").strip() for tag in ("groupId", "artifactId", "version")]
    return _licences(store, *fields)


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            member.name = member.name.partition("/")[2]
            if member.name:
                tar.extract(member, target, filter="data")


def _bundled(folder: Path) -> list[Json]:
    """Return the components that the jars of an unpacked distribution say they are."""
    components = []
    for jar in sorted(folder.rglob("*.jar")):
        with ZipFile(jar) as archive:
            for entry in sorted(archive.namelist()):
                if entry.startswith("META-INF/maven/") and entry.endswith("/pom.properties"):
                    lines = archive.read(entry).decode(errors="replace").splitlines()
                    fields = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
                    if {"groupId", "artifactId", "version"} <= fields.keys():
                        artifact = _parse(":".join(fields[k].strip() for k in ("groupId", "artifactId", "version")))
                        components.append(artifact.model_copy(update={"licences": _told(archive, entry)}))
    return [artifact.component for artifact in components]


def _told(archive: ZipFile, entry: str) -> list[str]:
    """Return the licences that a jar names: in its POM, in its manifest (OSGi), or by their texts."""
    names = set(archive.namelist())
    pom = entry.replace("pom.properties", "pom.xml")
    if pom in names:
        project = ET.fromstring(archive.read(pom))  # noqa: S314 - see the import
        if named := _named(project):
            return named
    manifest = archive.read(MANIFEST).decode(errors="replace") if MANIFEST in names else ""
    # Lines go on after a line break and a space.
    whole = manifest.replace("\r", "").replace("\n ", "")
    if header := re.search(r"^Bundle-License: *(.+)$", whole, re.MULTILINE):
        # The header has each licence once; some jars repeat it.
        return sorted({part.strip() for part in re.split(r", *(?=https?://)", header[1])})
    texts = [name for name in names if re.fullmatch(r"(META-INF/)?LICEN[CS]E[^/]*", name, re.IGNORECASE)]
    return sorted({name for text in texts for name in licences.told_by(archive.read(text).decode(errors="replace"))})


def _named(project: ET.Element) -> list[str]:
    """Return the licences that a POM itself names."""
    path = f"{NAMESPACE}licenses/{NAMESPACE}license/{NAMESPACE}name"
    return sorted({" ".join(node.text.split()) for node in project.iterfind(path) if node.text})


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
