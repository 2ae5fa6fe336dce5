"""The steps that make an image's layers, each with the identity of what goes into it."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from refsys.platform.images import debian, golang, keystore, maven, python
from refsys.platform.images.isolation import run, run_in
from refsys.platform.images.layers import BIND_LOW_PORTS, changes, snapshot, unpack, write_layer
from refsys.platform.images.recipe import FILES, Recipe
from refsys.platform.images.store import Json, Layer, Store, canonical

FORMAT = 3
"""Raise it when the builder makes something else of the same recipe."""


@dataclass(frozen=True)
class Step:
    """One layer of a recipe."""

    title: str
    key: str
    """Hash of everything that goes into the layer."""
    make: Callable[[Store, list[Layer]], Layer]
    """Called with the layers below."""


def steps(recipes: list[Recipe]) -> list[Step]:
    """Return the steps of a chain of recipes, base first."""
    done: list[Step] = []
    for recipe in recipes:
        for title, identity, make, on_tree in _parts(recipe):
            below = [step.key for step in done] if on_tree else []
            key = hashlib.sha256(canonical([FORMAT, title, identity, below])).hexdigest()
            done.append(Step(f"{recipe.name}: {title}", key, make))
    return done


Part = tuple[str, object, Callable[[Store, list[Layer]], Layer], bool]


def _parts(recipe: Recipe) -> list[Part]:
    """Return title, identity, maker and whether the maker works on the files of the layers below."""
    parts: list[Part] = []
    identity: object

    def staged(title: str, identity: object, fill: Callable[[Store, Path], list[Json]]) -> None:
        parts.append((title, identity, lambda store, _: _staged(store, fill, _capabilities(recipe)), False))

    if recipe.bootstrap or recipe.debian or recipe.users:
        identity = (recipe.bootstrap, recipe.debian, recipe.users, recipe.remove, debian.DPKG_OPTIONS)
        parts.append(("packages", identity, lambda store, below: _packages(store, recipe, below), True))
    if recipe.debian_data:
        staged("data", recipe.debian_data, lambda store, root: debian.extract(store, root, recipe.debian_data))
    if spec := recipe.maven:
        identity = (spec.dest, spec.elsewhere, spec.unpack, maven.identity(recipe, spec))
        staged("maven", identity, lambda store, root: maven.stage(store, recipe, spec, root))
    if wheels := recipe.python:
        identity = (wheels.dest, python.wheels_identity(wheels))
        staged("wheels", identity, lambda store, root: python.stage_wheels(store, wheels, root))
        if wheels.packages:
            identity = (wheels.dest, python.packages_identity(wheels))
            staged("packages of refsys", identity, lambda _, root: python.stage_packages(wheels, root))
    if go := recipe.go:
        identity = (go.binaries, go.bind_low_ports, golang.identity(go))
        staged("go", identity, lambda _, root: golang.stage(go, root))
    if recipe.c:
        program, source = recipe.c.program, FILES / f"{recipe.name}.c"
        staged("c", (program, source.read_text()), lambda _, root: _compile(source, root, program))
    if recipe.directories or recipe.links or recipe.files.is_dir():
        identity = (recipe.directories, recipe.links, _files_identity(recipe.files))
        staged("files", identity, lambda _, root: _files(recipe, root))
    if recipe.run:
        parts.append(("run", recipe.run, lambda store, below: _run(store, recipe, below), True))
    return parts


def _staged(store: Store, fill: Callable[[Store, Path], list[Json]], capabilities: dict[str, str]) -> Layer:
    with store.scratch() as work:
        root = work / "root"
        root.mkdir()
        components = fill(store, root)
        return write_layer(store, root, components, capabilities=capabilities)


def _capabilities(recipe: Recipe) -> dict[str, str]:
    if recipe.go and recipe.go.bind_low_ports:
        return dict.fromkeys(recipe.go.binaries, BIND_LOW_PORTS)
    return {}


def _packages(store: Store, recipe: Recipe, below: list[Layer]) -> Layer:
    with store.scratch() as work:
        root = work / "root"
        root.mkdir()
        unpack(store, below, root)
        before = snapshot(root)
        if recipe.bootstrap:
            debian.bootstrap(root, recipe.bootstrap)
        for name, uid in recipe.users.items():
            _add_user(root, name, uid)
        if recipe.debian:
            debian.install(store, root, recipe.debian)
        for path in recipe.remove:
            run(["rm", "-rf", "--", str(root / path.lstrip("/"))])
        debian.drop_privileges(root)
        keystore.reset_dates(root)
        names, removed = changes(root, before)
        return write_layer(store, root, debian.installed(root), names=names, removed=removed, of_tree=True)


def _run(store: Store, recipe: Recipe, below: list[Layer]) -> Layer:
    with store.scratch() as work:
        root = work / "root"
        root.mkdir()
        unpack(store, below, root)
        before = snapshot(root)
        for command in recipe.run:
            run_in(root, command, recipe.env)
        names, removed = changes(root, before)
        return write_layer(store, root, [], names=names, removed=removed, of_tree=True, keep_bytecode=True)


def _add_user(root: Path, name: str, uid: int) -> None:
    with (root / "etc/passwd").open("a") as passwd:
        passwd.write(f"{name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n")
    with (root / "etc/group").open("a") as group:
        group.write(f"{name}:x:{uid}:\n")


def _compile(source: Path, root: Path, program: str) -> list[Json]:
    target = root / program.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    run(
        ["gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-o", str(target), source.name],
        cwd=source.parent,
    )
    target.chmod(0o755)
    return []


def _files(recipe: Recipe, root: Path) -> list[Json]:
    for path, uid in sorted(recipe.directories.items()):
        folder = root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, uid, uid)
    for path, target in recipe.links.items():
        link = root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    for file in _files_of(recipe.files):
        copy = root / file.relative_to(recipe.files)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
        copy.chmod(_mode(file))
    return []


def _files_identity(folder: Path) -> list[object]:
    return [(str(f.relative_to(folder)), _mode(f), f.read_text()) for f in _files_of(folder)]


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _mode(file: Path) -> int:
    return 0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644
