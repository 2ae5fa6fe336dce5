"""The checks as the files in `benchmark/` have them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from refsys.security.compliance.kubernetes.report import Strict

FOLDER = Path(__file__).parent / "benchmark"


class Condition(Strict):
    """What a value must be; without any, it must be there."""

    absent: bool = False
    equals: str | None = None
    has: str | None = Field(default=None, description="element of a comma-separated list")
    lacks: str | None = None
    at_least: int | None = None
    only: list[str] | None = None
    default: str | None = Field(default=None, description="the program's own value where none is given")


class FileCheck(Strict):
    """Modes or owners of files."""

    paths: list[str]
    mode: str | None = Field(default=None, pattern=r"^0[0-7]{3}$", description="no bit beyond these")
    owner: str | None = None
    optional: bool = False


class KubeletCheck(Condition):
    """A field of the kubelet's configuration, which a flag of the same meaning overrides."""

    field: str
    flag: str | None = None


class ClusterCheck(Strict):
    """A question to the API server; `name` is a function's in `cluster.py`."""

    name: str
    verbs: list[str] = Field(default=[])
    group: str = ""
    resource: str = ""
    allowed: list[str] = Field(default=[], description="subjects that may: `Group …`, `ServiceAccount …/…`")
    flaw: str = ""


class Check(Strict):
    """One check, of one kind."""

    id: str
    title: str
    level: Literal[1, 2]
    where: Literal["control_plane", "all"] = "control_plane"
    remedy: str
    file: FileCheck | None = None
    process: str | None = None
    flags: Mapping[str, Condition] | None = None
    kubelet: KubeletCheck | None = None
    node: str | None = Field(default=None, description="a function's name in nodes.py")
    cluster: ClusterCheck | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_process_out(cls, values: dict[str, Any]) -> dict[str, Any]:
        flags = dict(values.get("flags") or {})
        return values | {"process": flags.pop("process"), "flags": flags} if flags else values

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "Check":
        if sum(kind is not None for kind in (self.file, self.flags, self.kubelet, self.node, self.cluster)) != 1:
            raise ValueError(f"check {self.id} must be of exactly one kind: file, flags, kubelet, node or cluster")
        return self


@cache
def checks() -> tuple[Check, ...]:
    """Return all checks in the benchmark's order."""
    found = [entry for file in sorted(FOLDER.glob("*.yaml")) for entry in yaml.safe_load(file.read_text())]
    return tuple(Check.model_validate(entry) for entry in found)


def patterns() -> list[str]:
    """Return the files that the checks want to know of, as shell patterns."""
    return sorted({path for check in checks() if check.file for path in check.file.paths})
