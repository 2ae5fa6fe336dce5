"""What the engine could import: what a preview would create, as `pulumi preview --import-file` lists it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refsys.infra.errors import UserError

LISTED = 10


@dataclass(frozen=True)
class Importable:
    """Resources to be created, with the parents and providers that they name."""

    resources: Sequence[Mapping[str, Any]]
    names: Mapping[str, str]
    """URNs of what exists already, by the name used for it."""

    @classmethod
    def parse(cls, text: str) -> "Importable":
        """Read the engine's file."""
        found = json.loads(text) if text.strip() else {}
        return cls(found.get("resources") or [], found.get("nameTable") or {})

    def of(self, kind: str, name: str, identity: str) -> "Importable":
        """The resource of that type and name, with its id and the components that it is part of.

        Raises:
            UserError: the program would create none of that type and name.
        """
        chosen = [each for each in self.resources if each["type"] == kind and name in _names(each)]
        if len(chosen) != 1:
            raise self._unknown(kind, name)
        return Importable([*self._parents(chosen[0]), {**chosen[0], "id": identity}], self.names)

    def as_json(self) -> str:
        """As `pulumi import --file` takes it."""
        return json.dumps({"resources": list(self.resources), "nameTable": dict(self.names)})

    def _parents(self, resource: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Components that are not there yet, the outermost first; what exists is in the table of names."""
        for each in self.resources:
            if each.get("component") and each["name"] == resource.get("parent"):
                return [*self._parents(each), each]
        return []

    def _unknown(self, kind: str, name: str) -> UserError:
        known = sorted(f"{each['type']} {each['name']}" for each in self.resources if not each.get("component"))
        listed = "".join(f"\n    {each}" for each in known[:LISTED])
        more = f"\n    … and {len(known) - LISTED} more" if len(known) > LISTED else ""
        return UserError(
            f"the program would not create one {kind} called {name}; it would create:{listed or ' nothing'}{more}",
            fix="take type and name from ./refsys preview --json; what is in the state already can't be imported",
        )


def _names(resource: Mapping[str, Any]) -> set[str]:
    """Its name in the file, and in the program where two have the same."""
    return {resource["name"], resource.get("logicalName", resource["name"])}
