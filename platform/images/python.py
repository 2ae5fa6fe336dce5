"""Python wheels and the project's own packages as a layer."""

import csv
import hashlib
import os
import re
import shutil
import sys
from importlib.metadata import Distribution, PathDistribution
from io import StringIO
from pathlib import Path

from refsys.infra import paths
from refsys.platform.images import sbom
from refsys.platform.images.isolation import run
from refsys.platform.images.recipe import FOLDER, Python
from refsys.platform.images.store import Json, Store

# Debian 12: Python 3.11 and glibc 2.36.
TARGET = ("--python-version=3.11", "--implementation=cp", "--prefer-binary")
PLATFORMS = ("manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_17", "manylinux2014")

# What builds the few projects that publish no wheels.
BUILD_TOOLS = FOLDER / "requirements/build.txt"

# Parts of the project's packages that only the deployment needs.
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "components", "tests", "requirements.lock", "*.md")


def wheels_identity(python: Python) -> str:
    """Return a hash of the requirements."""
    return hashlib.sha256((paths.CHECKOUT / python.requirements).read_bytes()).hexdigest()


def packages_identity(python: Python) -> str:
    """Return a hash of the project's packages."""
    sha = hashlib.sha256()
    for package in python.packages:
        for path in _shipped(paths.CHECKOUT / package):
            sha.update(f"{path.relative_to(paths.CHECKOUT)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return sha.hexdigest()


def stage_wheels(store: Store, python: Python, root: Path) -> list[Json]:
    """Install the wheels below `root` with the hashes checked; return their components."""
    target = root / python.dest.lstrip("/")
    target.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-compile"]
    command += [*TARGET, *(f"--platform={platform}_x86_64" for platform in PLATFORMS)]
    command += [f"--cache-dir={store.root / 'pip'}", f"--target={target}", "-r", python.requirements]
    run(command, os.environ | {"PIP_BUILD_CONSTRAINT": str(BUILD_TOOLS)}, cwd=paths.CHECKOUT)
    # Scripts would carry this machine's interpreter; programs of an image are run as `python3 -m`.
    shutil.rmtree(target / "bin", ignore_errors=True)
    components = []
    for folder in sorted(target.glob("*.dist-info")):
        _forget_scripts(folder / "RECORD")
        components.append(component(PathDistribution(folder)))
    return components


def stage_packages(python: Python, root: Path) -> list[Json]:
    """Copy the project's packages below `root` as parts of the namespace package `refsys`."""
    for package in python.packages:
        target = root / python.dest.lstrip("/") / "refsys" / package
        shutil.copytree(paths.CHECKOUT / package, target, ignore=NOT_SHIPPED)
        for path in target.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    return []


def _shipped(folder: Path) -> list[Path]:
    found = []
    for current, folders, files in os.walk(folder):
        left_out = NOT_SHIPPED(current, [*folders, *files])
        folders[:] = sorted(set(folders) - left_out)
        found += [Path(current) / name for name in sorted(set(files) - left_out)]
    return found


def _forget_scripts(record: Path) -> None:
    rows = [row for row in csv.reader(StringIO(record.read_text())) if not re.match(r"(\.\./)*bin/", row[0])]
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    record.write_text(text.getvalue())


def component(distribution: Distribution) -> Json:
    """Return the component of an installed distribution."""
    metadata = distribution.metadata
    name = re.sub(r"[-_.]+", "-", metadata["Name"]).lower()
    version = metadata["Version"]
    purl = f"pkg:pypi/{sbom.quote(name)}@{sbom.quote(version)}"
    return sbom.component("library", name, version, purl, _licences(distribution))


def _licences(distribution: Distribution) -> list[str]:
    """Return the licence by the newest of the three ways in which wheels' metadata name it."""
    expression, text, classifiers = (
        distribution.metadata.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")
    )
    classified = [value.rpartition(" :: ")[2] for value in classifiers if value.startswith("License ::")]
    # Some projects put the whole text of the licence into the old field.
    short = [value for value in text if value and "\n" not in value]
    return expression or classified or short
