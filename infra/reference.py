"""The generated reference of the environment's fields: `python -m refsys.infra.reference` writes it."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from refsys.infra import paths
from refsys.infra.environment import Environment

FILE = paths.CHECKOUT / "docs" / "reference" / "environment.md"
HEAD = """\
# Fields of an environment

Generated from `infra/environment.py` by `python -m refsys.infra.reference`. Each top-level field is a key
`refsys:<field>` in `Pulumi.<env>.yaml`; the environment's name is the stack's.

| field | type | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(_rows(Environment, "")) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not prefix and name == "name":
            continue
        inner = _model(field.annotation)
        if inner:
            suffix = "[]" if "list" in str(field.annotation) else ""
            yield from _rows(inner, f"{prefix}{name}{suffix}.")
        else:
            yield f"| `{prefix}{name}` | {_kind(field)} | {_default(field)} | {field.description or ''} |"


def _model(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _kind(field: FieldInfo) -> str:
    candidates = [kind for kind in getattr(field.annotation, "__args__", ()) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return " or ".join(map(str, candidates))
    kind = field.annotation if isinstance(field.annotation, type) else candidates[0]
    while get_origin(kind) is Annotated:
        kind = kind.__origin__
    return str(kind.__name__)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default in (None, "") else f"`{field.default}`"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(page())
