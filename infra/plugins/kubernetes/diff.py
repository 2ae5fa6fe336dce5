"""What an update would change: old inputs against new inputs, field by field."""

from dataclasses import replace

from refsys.infra.plugins.common.differences import Change, Difference, FieldChange, field_changes
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.kubernetes.config import Config
from refsys.infra.plugins.kubernetes.immutable import rules_for
from refsys.infra.plugins.kubernetes.objects import is_autonamed, kind_of, metadata_of, name_of


def compare(old: Properties, new: Properties, config: Config, namespaces: tuple[str | None, str]) -> Difference:
    """Compare the inputs in the state with the program's.

    `namespaces` are the object's own (`None` outside namespaces) and the provider's default. The object is deleted
    before it is made anew where both would have the same name; an automatic name is made anew with the object.
    """
    rules = rules_for(kind_of(new), old, config)
    changes = [
        FieldChange(path, change, any(rule.covers(path) for rule in rules))
        for path, change in field_changes(old, new)
        if path not in (("metadata", "namespace"), ("apiVersion",))
    ]
    if old.get("apiVersion") != new.get("apiVersion"):
        moved = kind_of(old).group != kind_of(new).group
        changes.append(FieldChange(("apiVersion",), Change.UPDATE, replaces=moved))
    namespace, default = namespaces
    moved = namespace is not None and (metadata_of(new).get("namespace") or default) != namespace
    if moved:
        changes.append(FieldChange(("metadata", "namespace"), Change.UPDATE, replaces=True))
    result = Difference(tuple(changes))
    same_place = name_of(old) == name_of(new) and not moved
    return replace(result, delete_first=result.replaces and same_place and not is_autonamed(new))
