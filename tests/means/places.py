"""Resources of a small Pulumi program, as nodes are: files, made anew where their place changes."""

import os
from pathlib import Path
from typing import ClassVar

import pulumi
from pulumi.dynamic import Resource

from refsys.infra.managed import Managed, Properties

FOLDER = "PLACES"
"""Variable that names the folder of the files."""


class _PlaceProvider(Managed):
    replace_on: ClassVar[frozenset[str]] = frozenset({"place"})

    def identity(self, props: Properties) -> str:
        return str(props["place"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        _file(props).touch()
        return {"number": os.urandom(4).hex()}

    def remove(self, props: Properties) -> None:
        _file(props).unlink(missing_ok=True)


class Place(Resource, module="test", name="Place"):
    """A file at a place; `number` is anew with each one made."""

    number: pulumi.Output[str]

    def __init__(self, name: str, place: str) -> None:
        opts = pulumi.ResourceOptions(delete_before_replace=True)
        super().__init__(_PlaceProvider(), name, {"place": place, "number": None}, opts)


def _file(props: Properties) -> Path:
    return Path(os.environ[FOLDER]) / str(props["place"])
