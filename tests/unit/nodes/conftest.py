"""An environment whose engine and cluster only note what is asked of them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from rich.console import Console

from refsys.infra import environment as environments
from refsys.infra.cli import status
from refsys.infra.cli.steps import Steps
from refsys.infra.clouds.local import preflight
from refsys.infra.clouds.local.cloud import LocalCloud
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.nodes import members, roll, scale
from refsys.infra.nodes.change import Change
from refsys.infra.plan.changes import Plan, Resource


@dataclass
class World:
    """What there is, and what was done to it, in order."""

    file: Path
    """The config."""
    done: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=lambda: ["cp1", "w1", "w2", "w3"])
    claims: dict[str, list[str]] = field(default_factory=lambda: {"w1": ["database/postgresql"]})
    outdated: list[str] = field(default_factory=list)
    previewed: list[str] = field(default_factory=list)
    """Nodes that a preview shows."""
    away: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    """Nodes that the engine fails to make."""
    leaving: set[str] = field(default_factory=set)
    until: str = "chain"
    keeps_volumes: bool = False
    well: bool = True
    output: StringIO = field(default_factory=StringIO)

    @property
    def console(self) -> Console:
        return Console(file=self.output, width=160)


class Engine:
    """The stack."""

    def __init__(self, world: World) -> None:
        self.world = world

    def up(self, *, replace: Collection[str] = (), exclude: Collection[str] = ()) -> None:
        changed = [node for node in self.world.machines if f"urn:{node}" not in exclude]
        self.world.done.append(" ".join(["up", *changed, "replace", *replace]))
        if failing := self.world.broken & set(changed):
            raise UserError(f"no room for {', '.join(failing)}", fix="make room")
        self.world.away -= set(changed)
        self.world.outdated = [node for node in self.world.outdated if f"urn:{node}" not in replace]

    def preview(self, *, replace: Collection[str] = (), exclude: Collection[str] = ()) -> Plan:
        self.world.done.append(" ".join(["preview", "replace", *replace]))
        nodes = [Resource(f"urn::{name}", "local:Node", {"cpus": 2}) for name in self.world.previewed]
        return Plan((), (), tuple(nodes))

    def outdated(self, urns: Collection[str]) -> set[str]:
        return {f"urn:{node}" for node in self.world.outdated} & set(urns)

    def configure(self, key: str, value: int) -> None:
        self.world.done.append(f"set {key} {value}")


class Cluster:
    """The cluster's nodes."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def nodes(self) -> dict[str, Any]:
        return {
            name: {
                "metadata": {"name": name, "uid": f"uid-{name}"},
                "spec": {"taints": [{"key": "refsys/leaving"}] if name in self.world.leaving else []},
                "status": {"conditions": [{"type": "Ready", "status": "False" if name in self.world.away else "True"}]},
            }
            for name in self.world.machines
        }

    def claims(self, node: str) -> list[str]:
        return self.world.claims.get(node, [])

    def drain(self, node: str, seconds: int) -> None:
        self.world.done.append(f"drain {node}")
        if node in self.world.stuck:
            raise UserError(f"node {node} could not be emptied", fix="end its pods")

    def uncordon(self, node: str) -> None:
        self.world.done.append(f"uncordon {node}")

    def let_go(self, node: str) -> None:
        self.world.done.append(f"let go {node}")

    def take_back(self, node: str) -> None:
        self.world.done.append(f"take back {node}")

    def wait_until_ready(self, node: str, older: str | None, note: object) -> None:
        self.world.done.append(f"ready {node}" + (f" other than {older}" if older else ""))


@dataclass
class Health:
    """How the environment is."""

    well: bool
    serious: tuple[object, ...] = ()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> World:
    """An environment `t` with three workers."""
    found = World(tmp_path / "Pulumi.t.yaml")
    found.file.write_text(yaml.safe_dump({"config": {"refsys:local": {"workers": 3}}}))

    @contextmanager
    def changing(name: str, console: Console, **_: object) -> Iterator[Change]:
        cluster: Any = Cluster(found) if found.until != "infrastructure" else None
        engine: Any = Engine(found)
        urns = {name: f"urn:{name}" for name in found.machines}
        until: Any = found.until
        yield Change(Environment.load(name), engine, Steps(console), urns, until, cluster)

    monkeypatch.setenv("REFSYS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(environments, "config_file", lambda _: found.file)
    monkeypatch.setattr(preflight, "check", lambda _: None)
    monkeypatch.setattr(members, "Members", lambda _: Cluster(found))
    monkeypatch.setattr(LocalCloud, "keeps_volumes", lambda *_: found.keeps_volumes)
    monkeypatch.setattr(status, "wait_until_well", lambda *_: found.done.append("well"))
    monkeypatch.setattr(roll, "examine", lambda _: Health(found.well))
    for module in (scale, roll):
        monkeypatch.setattr(module, "changing", changing)
    return found
