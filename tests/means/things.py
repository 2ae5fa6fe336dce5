"""Things of a small Pulumi program: files in a folder, changed in place, replaced where their place changes."""

import os
import time
from pathlib import Path
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource

from refsys.infra.managed import GoneError, Managed, Properties

FOLDER = "THINGS"
"""Variable that names the folder."""


class _ThingProvider(Managed):
    replace_on: ClassVar[frozenset[str]] = frozenset({"place"})

    def identity(self, props: Properties) -> str:
        return str(props["place"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        if seconds := props.get("seconds"):
            (_folder() / "begun").touch()
            time.sleep(float(seconds))
        (_folder() / props["place"]).write_text(props["colour"])
        return {"number": (old or {}).get("number") or os.urandom(4).hex()}

    def probe(self, props: Properties) -> str:
        file = _folder() / props["place"]
        if not file.exists():
            raise GoneError
        return "" if file.read_text() == props["colour"] else f"somebody painted it {file.read_text()}"

    def remove(self, props: Properties) -> None:
        (_folder() / props["place"]).unlink(missing_ok=True)


class Thing(Resource, module="local", name="Node"):
    """A file; for policies it is a node. `number` is anew with each one made."""

    number: pulumi.Output[str]

    def __init__(
        self, name: str, place: str, colour: str, opts: pulumi.ResourceOptions | None = None, **more: Any
    ) -> None:
        super().__init__(_ThingProvider(), name, {"place": place, "colour": colour, "number": None, **more}, opts)


class Pair(pulumi.ComponentResource):
    """Two things of one colour."""

    def __init__(self, name: str, colour: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("test:things:Pair", name, None, opts)
        for side in ("left", "right"):
            Thing(f"{name}-{side}", side, colour, pulumi.ResourceOptions(parent=self))


def _folder() -> Path:
    return Path(os.environ[FOLDER])
